// What the attention kernels of one call need, passed to them by value. All pointers are device
// memory. AttentionArgs of kernels/backend.h says what is computed.
#pragma once

#include <cuda_runtime.h>

#include "kernels/backend.h"

namespace octet::cuda {

// The sequence is split every so many positions, the splits merged left to right.
inline constexpr int kAttentionSplit = 128;

struct AttentionCall {
  int n = 0, num_seqs = 0;
  const float* qkv = nullptr;             // [n, (num_q + 2 * num_kv) * head_dim]
  const int32_t* cu_seqlens = nullptr;    // [num_seqs + 1]
  const int32_t* context_lens = nullptr;  // [num_seqs]
  const int32_t* block_tables = nullptr;  // [num_seqs, max_blocks]
  int max_blocks = 0;
  int num_q = 0, num_kv = 0, head_dim = 0;
  int q_begin = 0, kv_begin = 0, group = 1;
  float scale = 1;
  int sliding_window = 0;
  const float* alibi_slopes = nullptr;  // [num_q] or null
  const void* k = nullptr;              // [num_blocks, num_kv, block_size, head_dim]
  const void* v = nullptr;
  const float* k_scales = nullptr;  // [num_blocks, num_kv, block_size], kI8 only
  const float* v_scales = nullptr;
  DType cache_dtype = DType::kF32;
  int block_size = 1;
  float* out = nullptr;  // [n, num_q * head_dim]

  // Room for the splits of decode rows: their sums, and how many blocks of a row have come (zero
  // between calls).
  float* partials = nullptr;
  int64_t partial_floats = 0;
  unsigned* arrivals = nullptr;
  int64_t max_arrivals = 0;

  constexpr int width() const { return (num_q + 2 * num_kv) * head_dim; }
  constexpr int64_t max_context() const { return int64_t{max_blocks} * block_size; }
};

// All rows of the call, each by the kernel that its cache's dtype and its sequence's rows ask for.
void attention(const AttentionCall& call, cudaStream_t stream);

// Any row, any cache dtype: one warp a row and head. The only one for kF32 caches.
void attention_plain(const AttentionCall& call, cudaStream_t stream);

// kBF16 and kI8 caches. Sequences with one row in this call; leaves the others alone.
bool attention_decode_accepts(const AttentionCall& call);
void attention_decode(const AttentionCall& call, cudaStream_t stream);

// The same kernel for each row of the other sequences, as if it were alone: the slow twin of
// attention_prefill. Accepts what attention_decode does.
void attention_row_by_row(const AttentionCall& call, cudaStream_t stream);

// kBF16 and kI8 caches. Sequences with more than one row; leaves the others alone.
bool attention_prefill_accepts(const AttentionCall& call);
void attention_prefill(const AttentionCall& call, cudaStream_t stream);

}  // namespace octet::cuda
