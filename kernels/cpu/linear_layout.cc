#include "kernels/cpu/linear_layout.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cpu/host_memory.h"

namespace octet::cpu {
namespace {

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

LinearLayout::LinearLayout(const LinearShape& weight)
    : quantized(weight.dtype == DType::kI8 && weight.product != Int8Product::kW8A16),
      mixed(quantized && weight.product == Int8Product::kLlmInt8) {
  padded_rows = weight.activation == Activation::kSiluGate ? 2 * round_up(weight.rows / 2, kBlock)
                                                           : round_up(weight.rows, kBlock);
  const std::vector<int64_t> cuts =
      weight.cuts.empty() ? std::vector<int64_t>{0, weight.columns} : weight.cuts;
  OCTET_CHECK(static_cast<int>(cuts.size()) == weight.shards.size() + 1 &&
                  weight.shards.size() <= kMaxShards && cuts.back() == weight.columns,
              "{} cuts to {}, {} shards, {} inputs", cuts.size(), cuts.back(), weight.shards.size(),
              weight.columns);
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    const int64_t length = cuts[i + 1] - cuts[i];
    OCTET_CHECK(!quantized || length <= kMaxInt8Columns, "a shard of {} columns", length);
    const int64_t padded = quantized ? round_up(length, kGroup) : length;
    shards.push_back({cuts[i], cuts[i + 1], padded_in, padded});
    padded_in += padded;
  }
  const size_t rows = static_cast<size_t>(padded_rows);
  bytes_ = allocated_bytes(rows * static_cast<size_t>(padded_in) * dtype_size(weight.dtype));
  if (weight.has_scales()) bytes_ += allocated_bytes(rows * sizeof(float));
  if (weight.biased) bytes_ += allocated_bytes(rows * sizeof(float));
}

size_t linear_scratch_bytes(std::span<const LinearShape> weights, int64_t max_rows) {
  int64_t widest = 0, most_shards = 1;
  bool mixed = false;
  for (const LinearShape& weight : weights) {
    const LinearLayout layout(weight);
    widest = std::max(widest, layout.padded_in);
    most_shards = std::max(most_shards, static_cast<int64_t>(layout.shards.size()));
    mixed = mixed || layout.mixed;
  }
  const auto values = static_cast<size_t>(digits_shape(max_rows, widest).numel());
  const size_t groups = static_cast<size_t>(max_rows * widest / kGroup) * sizeof(uint16_t);
  return allocated_bytes(values) + (mixed ? allocated_bytes(values) + groups : 0) +
         static_cast<size_t>(max_rows * most_shards) * sizeof(QuantizedRow);
}

}  // namespace octet::cpu
