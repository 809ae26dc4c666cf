#include "runtime/layers/model_input.h"

#include <array>
#include <bit>
#include <cstring>

#include "kernels/check.h"

namespace octet {
namespace {

// Header words: stop, top_only, then the sizes from which all extents follow.
enum HeaderWord { kStop, kTopOnly, kTokens, kSeqs, kMaxBlocks, kSampled, kHeader };

size_t total_words(size_t tokens, size_t seqs, size_t max_blocks, size_t sampled) {
  return kHeader + 3 * tokens + (seqs + 1) + seqs + seqs * max_blocks + 3 * sampled;
}

int table_width(int max_blocks) {
  return (max_blocks + kTableWidth - 1) / kTableWidth * kTableWidth;
}

}  // namespace

void ModelInput::clear() {
  stop = false;
  top_only = true;
  max_blocks = 0;
  for (auto* array : {&token_ids, &positions, &slot_mapping, &cu_seqlens, &context_lens,
                      &block_tables, &sampled_rows, &scored_tokens}) {
    array->clear();
  }
  inverse_temperatures.clear();
}

void ModelInput::add_sampled(int32_t row, float inverse_temperature, int32_t scored_token) {
  top_only = false;
  sampled_rows.push_back(row);
  inverse_temperatures.push_back(inverse_temperature);
  scored_tokens.push_back(scored_token);
}

void ModelInput::add_top(int32_t row) {
  const bool others = top_only;
  add_sampled(row);
  top_only = others;
}

void ModelInput::encode(std::vector<int32_t>& words) const {
  words.assign(kHeader, 0);
  words[kStop] = stop;
  if (stop) return;
  OCTET_CHECK(positions.size() == token_ids.size() && slot_mapping.size() == token_ids.size() &&
                  cu_seqlens.size() == context_lens.size() + 1 &&
                  block_tables.size() == context_lens.size() * max_blocks,
              "{} tokens, {} positions, {} slots, {} seqs, {} cu_seqlens, {} table entries of {}",
              token_ids.size(), positions.size(), slot_mapping.size(), context_lens.size(),
              cu_seqlens.size(), block_tables.size(), max_blocks);
  OCTET_CHECK(inverse_temperatures.size() == sampled_rows.size() &&
                  scored_tokens.size() == sampled_rows.size(),
              "{} sampled rows, {} inverse temperatures, {} scored tokens", sampled_rows.size(),
              inverse_temperatures.size(), scored_tokens.size());
  words[kTopOnly] = top_only;
  words[kTokens] = num_tokens();
  words[kSeqs] = num_seqs();
  words[kMaxBlocks] = table_width(max_blocks);
  words[kSampled] = num_sampled();
  for (const auto* array : {&token_ids, &positions, &slot_mapping, &cu_seqlens, &context_lens}) {
    words.insert(words.end(), array->begin(), array->end());
  }
  for (auto row = block_tables.begin(); row != block_tables.end(); row += max_blocks) {
    words.insert(words.end(), row, row + max_blocks);
    words.resize(words.size() + words[kMaxBlocks] - max_blocks);
  }
  words.insert(words.end(), sampled_rows.begin(), sampled_rows.end());
  for (const float x : inverse_temperatures) words.push_back(std::bit_cast<int32_t>(x));
  words.insert(words.end(), scored_tokens.begin(), scored_tokens.end());
}

size_t max_model_input_bytes(int max_tokens, int max_seqs, int max_blocks) {
  return sizeof(int32_t) * total_words(max_tokens, max_seqs, table_width(max_blocks), max_tokens);
}

uint64_t DeviceInput::shape_key() const {
  constexpr int kBits = 21;
  OCTET_CHECK(decode_only(), "{} tokens of {} sequences", num_tokens(), context_lens.numel());
  uint64_t key = top_only ? 1 : 0;
  for (const int64_t extent : {context_lens.numel(), block_tables.dim(1), sampled_rows.numel()}) {
    OCTET_CHECK(extent < int64_t{1} << kBits, "extent {}", extent);
    key = key << kBits | static_cast<uint64_t>(extent);
  }
  return key;
}

DeviceInput upload_model_input(Backend& backend, std::span<const std::byte> message,
                               const Tensor& buffer) {
  const size_t words = message.size() / sizeof(int32_t);
  std::array<int32_t, kHeader> header;
  OCTET_CHECK(words >= kHeader, "{} bytes", message.size());
  std::memcpy(header.data(), message.data(), sizeof header);
  DeviceInput input;
  input.stop = header[kStop] != 0;
  if (input.stop) return input;
  input.top_only = header[kTopOnly] != 0 && backend.has_linear_top();
  OCTET_CHECK(
      words == total_words(header[kTokens], header[kSeqs], header[kMaxBlocks], header[kSampled]) &&
          static_cast<int64_t>(words) <= buffer.numel(),
      "{} words for {} tokens, {} seqs of {} blocks, {} sampled; buffer {}", words, header[kTokens],
      header[kSeqs], header[kMaxBlocks], header[kSampled], buffer.numel());
  const Tensor device = buffer.rows(0, static_cast<int64_t>(words));
  backend.upload(Tensor::view(const_cast<std::byte*>(message.data()), DType::kI32,
                              {static_cast<int64_t>(words)}),
                 device);
  int64_t at = kHeader;
  auto take = [&](int64_t count) {
    at += count;
    return device.rows(at - count, at);
  };
  const int64_t tokens = header[kTokens], seqs = header[kSeqs];
  input.token_ids = take(tokens);
  input.positions = take(tokens);
  input.slot_mapping = take(tokens);
  input.cu_seqlens = take(seqs + 1);
  input.context_lens = take(seqs);
  input.block_tables = take(seqs * header[kMaxBlocks]).reshape({seqs, header[kMaxBlocks]});
  input.sampled_rows = take(header[kSampled]);
  const Tensor bits = take(header[kSampled]);
  input.inverse_temperatures = Tensor::view(bits.raw_data(), DType::kF32, bits.shape());
  input.scored_tokens = take(header[kSampled]);
  return input;
}

}  // namespace octet
