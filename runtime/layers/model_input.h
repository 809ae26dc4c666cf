// ModelInput: all that the ranks need to know of one step, as plain data. The leader builds one and
// broadcasts it; every rank runs the same step from it. On the wire: kHeader int32 words, then the
// arrays in the order declared, block tables widened to a multiple of kTableWidth, so that steps of
// as many sequences seldom differ in shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"

namespace octet {

inline constexpr int kTableWidth = 16;

struct ModelInput {
  bool stop = false;                        // the group ends; nothing else is set
  bool top_only = true;                     // of each sampled row, only the largest logit is wanted
  int max_blocks = 0;                       // width of block_tables
  std::vector<int32_t> token_ids;           // [num_tokens]
  std::vector<int32_t> positions;           // [num_tokens]
  std::vector<int32_t> slot_mapping;        // [num_tokens] where each token's k and v go
  std::vector<int32_t> cu_seqlens;          // [num_seqs + 1] first row of each sequence
  std::vector<int32_t> context_lens;        // [num_seqs] tokens in the cache after this step
  std::vector<int32_t> block_tables;        // [num_seqs, max_blocks]
  std::vector<int32_t> sampled_rows;        // [num_sampled] rows whose logits are wanted
  std::vector<float> inverse_temperatures;  // [num_sampled] as in ShortlistArgs
  std::vector<int32_t> scored_tokens;       // [num_sampled] as in ShortlistArgs

  int num_tokens() const { return static_cast<int>(token_ids.size()); }
  int num_seqs() const { return static_cast<int>(context_lens.size()); }
  int num_sampled() const { return static_cast<int>(sampled_rows.size()); }

  void clear();
  void add_sampled(int32_t row, float inverse_temperature = 0, int32_t scored_token = -1);
  void add_top(int32_t row);  // only its largest logit is wanted

  // Appends the wire form to `words`, cleared first.
  void encode(std::vector<int32_t>& words) const;
};

// Upper bound of the wire form's bytes for steps of this size.
size_t max_model_input_bytes(int max_tokens, int max_seqs, int max_blocks);

// The same arrays in device memory: one upload, then views.
struct DeviceInput {
  bool stop = false;
  bool top_only = false;
  Tensor token_ids, positions, slot_mapping, cu_seqlens, context_lens, sampled_rows;  // kI32
  Tensor block_tables;          // [num_seqs, max_blocks] kI32
  Tensor scored_tokens;         // kI32
  Tensor inverse_temperatures;  // kF32
  int num_tokens() const { return static_cast<int>(token_ids.numel()); }
  int num_sampled() const { return static_cast<int>(sampled_rows.numel()); }
  // One row a sequence: a step whose shape comes again and again.
  bool decode_only() const { return token_ids.numel() == context_lens.numel(); }
  // Of all extents and top_only; two inputs of one key lie at the same places of the buffer.
  // REQUIRES: decode_only().
  uint64_t shape_key() const;
};

// Uploads a received message into `buffer` (device, kI32, at least as many words) and cuts it into
// views. REQUIRES (checked): the message is one that encode() made.
DeviceInput upload_model_input(Backend& backend, std::span<const std::byte> message,
                               const Tensor& buffer);

}  // namespace octet
