#include "kernels/cuda/linear_layout.h"

#include <algorithm>
#include <vector>

#include "kernels/check.h"
#include "kernels/cuda/device_context.h"
#include "kernels/cuda/linear_kernels.h"

namespace octet::cuda {
namespace {

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

LinearLayout::LinearLayout(const LinearShape& weight)
    : quantized(weight.dtype == DType::kI8 && weight.product != Int8Product::kW8A16) {
  const std::vector<int64_t> cuts =
      weight.cuts.empty() ? std::vector<int64_t>{0, weight.columns} : weight.cuts;
  const int leaves = weight.shards.size();
  OCTET_CHECK(static_cast<int>(cuts.size()) == leaves + 1 && leaves <= kMaxShards &&
                  cuts.back() == weight.columns,
              "{} cuts to {}, {} shards, {} inputs", cuts.size(), cuts.back(), leaves,
              weight.columns);
  for (int l = 0; l < leaves; ++l) {
    const int64_t length = cuts[l + 1] - cuts[l];
    OCTET_CHECK(weight.dtype != DType::kI8 || length <= kMaxInt8Columns, "a shard of {} columns",
                length);
    begin[l + 1] = static_cast<int>(cuts[l + 1]);
    call.place[l + 1] = call.place[l] + static_cast<int>(round_up(length, kSpan));
  }
  const std::vector<ShardRange> roots = subtree_roots(weight.num_shards, weight.shards);
  call.num_leaves = leaves;
  call.num_roots = static_cast<int>(roots.size());
  for (int r = 0; r < call.num_roots; ++r) {
    call.first_leaf[r] = roots[r].begin - weight.shards.begin;
    call.first_leaf[r + 1] = roots[r].end - weight.shards.begin;
  }
  OCTET_CHECK(!weight.biased || (call.num_roots == 1 && leaves == weight.num_shards),
              "a bias on {} of {} shards", leaves, weight.num_shards);
  call.mixed = weight.product == Int8Product::kLlmInt8;
  call.activation = weight.activation;
  call.rows = static_cast<int>(weight.rows);
  call.out_features = weight.activation == Activation::kSiluGate ? call.rows / 2 : call.rows;
  call.padded_rows = static_cast<int>(round_up(weight.rows, kRowAlign));
  call.padded_in = call.place[leaves];

  const auto rows = static_cast<size_t>(quantized ? call.padded_rows : call.rows);
  const auto columns = static_cast<size_t>(quantized ? call.padded_in : weight.columns);
  bytes_ = allocated_bytes(rows * columns * dtype_size(weight.dtype));
  if (weight.has_scales()) bytes_ += allocated_bytes(rows * sizeof(float));
  if (weight.biased) bytes_ += allocated_bytes(rows * sizeof(float));
  if (quantized && call.mixed) bytes_ += allocated_bytes(sizeof(uint64_t));
}

void LinearLayout::add_needs(LinearNeeds& needs) const {
  if (!quantized) return;
  needs.padded_in = std::max<int64_t>(needs.padded_in, call.padded_in);
  needs.leaves = std::max<int64_t>(needs.leaves, call.num_leaves);
  needs.sums = std::max(needs.sums, few_rows_sums(call));
  needs.arrivals = std::max(needs.arrivals, few_rows_arrivals(call));
}

}  // namespace octet::cuda
