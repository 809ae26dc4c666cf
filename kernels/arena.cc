#include "kernels/arena.h"

#include <algorithm>
#include <utility>

#include "kernels/check.h"

namespace octet {

Arena::Arena(Tensor block) : block_(std::move(block)) {}

size_t arena_bytes(DType dtype, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(shape.numel()) * dtype_size(dtype);
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

Tensor Arena::allocate(DType dtype, Shape shape) {
  const size_t bytes = arena_bytes(dtype, shape);
  OCTET_CHECK(bytes <= capacity() - used_, "{} of {} bytes used, {} {} asked for", used_,
              capacity(), dtype_name(dtype), shape.to_string());
  const Tensor tensor = Tensor::view(block_.raw_data() + used_, dtype, shape);
  used_ += bytes;
  high_water_ = std::max(high_water_, used_);
  return tensor;
}

void Arena::release(size_t mark) {
  OCTET_CHECK(mark <= used_, "mark {} of {} used", mark, used_);
  used_ = mark;
}

}  // namespace octet
