#include "kernels/cpu/linear_layout.h"

#include <vector>

#include "kernels/check.h"
#include "kernels/cpu/host_memory.h"

namespace octet::cpu {
namespace {

static_assert(kBlock == WeightBlocks::kBlock && kGroup == WeightBlocks::kGroup);

bool quantizes(const LinearShape& weight) {
  return weight.dtype == DType::kI8 && weight.product != Int8Product::kW8A16;
}

WeightBlocks blocks_of(const LinearShape& weight) {
  const std::vector<int64_t> cuts =
      weight.cuts.empty() ? std::vector<int64_t>{0, weight.columns} : weight.cuts;
  OCTET_CHECK(static_cast<int>(cuts.size()) == weight.shards.size() + 1 &&
                  weight.shards.size() <= kMaxShards && cuts.back() == weight.columns,
              "{} cuts to {}, {} shards, {} inputs", cuts.size(), cuts.back(), weight.shards.size(),
              weight.columns);
  return {weight.dtype, quantizes(weight), cuts};
}

}  // namespace

LinearLayout::LinearLayout(const LinearShape& weight)
    : quantized(quantizes(weight)),
      mixed(quantized && weight.product == Int8Product::kLlmInt8),
      blocks(blocks_of(weight)) {
  num_blocks = weight.activation == Activation::kSiluGate ? 2 * WeightBlocks::count(weight.rows / 2)
                                                          : WeightBlocks::count(weight.rows);
  for (const WeightBlocks::Shard& shard : blocks.shards()) {
    OCTET_CHECK(!quantized || shard.end - shard.begin <= kMaxInt8Columns, "a shard of {} columns",
                shard.end - shard.begin);
  }
  const auto weights = static_cast<size_t>(num_blocks * blocks.block_bytes());
  const size_t vector = allocated_bytes(static_cast<size_t>(padded_rows()) * sizeof(float));
  bytes_ = weight.in_file ? weights : allocated_bytes(weights);
  if (weight.has_scales()) bytes_ += vector;
  if (weight.biased) bytes_ += vector;
  if (const auto sketch = sketch_shape(weight)) {
    bytes_ += LinearLayout(*sketch).bytes() + static_cast<size_t>(num_blocks) * 2 * sizeof(float);
  }
}

std::optional<LinearShape> sketch_shape(const LinearShape& weight) {
  if (!weight.top || weight.dtype == DType::kI8 || weight.biased || weight.num_shards > 1 ||
      weight.activation != Activation::kNone || weight.columns > kMaxInt8Columns) {
    return std::nullopt;
  }
  return LinearShape{.dtype = DType::kI8,
                     .rows = weight.rows,
                     .columns = weight.columns,
                     .product = Int8Product::kLlmInt8};
}

}  // namespace octet::cpu
