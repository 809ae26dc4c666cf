// The operations that are not products: each does what its comment in kernels/backend.h says. All
// pointers are device memory; the calls are queued on the stream.
#pragma once

#include <cuda_runtime.h>

#include "kernels/backend.h"
#include "kernels/cuda/quantize.h"

namespace octet::cuda {

struct NormCall {
  int n = 0, h = 0;
  float* residual = nullptr;          // [n, h]
  const float* delta = nullptr;       // [n, h] or null
  const float* delta_bias = nullptr;  // [h] or null
  const float* weight = nullptr;      // [h]
  const float* bias = nullptr;        // [h] or null
  float eps = 0;
  NormKind kind = NormKind::kRms;
  float* out = nullptr;  // [n, h] or null
};
inline constexpr int kWidestNorm = 32'768;
// REQUIRES: h <= kWidestNorm.
void add_norm(const NormCall& call, cudaStream_t stream);
// The same with the result in int8 only, as quantize_rows would have made it. REQUIRES: norm.h ==
// rows.in, one leaf; norm.out and rows.x are not used.
void add_norm_quantized(const NormCall& norm, const QuantizeCall& rows, cudaStream_t stream);

struct EmbedCall {
  int n = 0, h = 0;
  const int32_t* ids = nullptr;  // [n]
  const void* table = nullptr;   // [rows, h]
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int32_t first_id = 0;
  float* out = nullptr;  // [n, h]
};
void embed(const EmbedCall& call, cudaStream_t stream);

void gather_rows(const float* x, const int32_t* rows, int m, int h, float* out,
                 cudaStream_t stream);

struct ShortlistCall {
  int m = 0, vocab_size = 0;
  const float* logits = nullptr;                // [m, vocab_size]
  const float* inverse_temperatures = nullptr;  // [m]
  const int32_t* scored_tokens = nullptr;       // [m]
  Shortlist* out = nullptr;                     // [m]
  void* scratch = nullptr;  // where it is short of all rows, they go in several rounds
  int64_t scratch_bytes = 0;
};
// REQUIRES: scratch for a row: 528 bytes each 4096 logits.
void shortlist(const ShortlistCall& call, cudaStream_t stream);

struct RopeCall {
  int n = 0, num_q = 0, num_kv = 0, head_dim = 0, rotary = 0, block_size = 0;
  RopeStyle style = RopeStyle::kNone;
  float* qkv = nullptr;           // [n, (num_q + 2 * num_kv) * head_dim]
  const float* q_norm = nullptr;  // [head_dim] or null
  const float* k_norm = nullptr;
  float norm_eps = 0;
  const int32_t* positions = nullptr;  // [n]
  const int32_t* slots = nullptr;      // [n]
  const float* cos_sin = nullptr;      // [max_positions, rotary]
  void* k = nullptr;                   // the cache
  void* v = nullptr;
  float* k_scales = nullptr;  // kI8 only
  float* v_scales = nullptr;
  DType cache_dtype = DType::kF32;
};
void rope_store(const RopeCall& call, cudaStream_t stream);

}  // namespace octet::cuda
