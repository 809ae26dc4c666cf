#include "kernels/backend.h"

#include "kernels/check.h"
#include "kernels/linear_shape.h"

namespace octet {

LinearShape shape_of(const LinearWeight& weight) {
  LinearShape shape{.biased = !weight.bias.empty(),
                    .product = weight.product,
                    .activation = weight.activation,
                    .num_shards = weight.num_shards,
                    .shards = weight.shards,
                    .cuts = weight.cuts,
                    .top = weight.top,
                    .in_file = !weight.blocked.runs.empty()};
  if (shape.in_file) {
    shape.dtype = weight.blocked.dtype;
    shape.columns = weight.blocked.columns;
    for (const BlockRows& run : weight.blocked.runs) shape.rows += run.rows;
  } else {
    shape.dtype = weight.weight.dtype();
    shape.rows = weight.weight.dim(0);
    shape.columns = weight.weight.dim(1);
  }
  return shape;
}

size_t Backend::packed_bytes(const LinearShape& weight) const {
  const size_t vectors = (weight.has_scales() ? 1 : 0) + (weight.biased ? 1 : 0);
  return static_cast<size_t>(weight.rows) *
         (static_cast<size_t>(weight.columns) * dtype_size(weight.dtype) + vectors * sizeof(float));
}

size_t Backend::scratch_bytes(std::span<const LinearShape>, int64_t) const { return 0; }

size_t Backend::ready_row_bytes(const PackedLinear&) const {
  OCTET_CHECK(false, "{} has no ready rows", name());
}
void Backend::copy_ready_rows(const Tensor&, const PackedLinear&, RowRange, std::byte*) {
  OCTET_CHECK(false, "{} has no ready rows", name());
}
void Backend::take_ready_rows(const Tensor&, const PackedLinear&, RowRange, const std::byte*) {
  OCTET_CHECK(false, "{} has no ready rows", name());
}

}  // namespace octet
