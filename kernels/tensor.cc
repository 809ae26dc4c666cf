#include "kernels/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/check.h"

namespace octet {

Shape::Shape(std::initializer_list<int64_t> extents)
    : Shape(std::span<const int64_t>(extents.begin(), extents.size())) {}

Shape::Shape(std::span<const int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  OCTET_CHECK(extents.size() <= kMaxRank, "{} extents", extents.size());
  for (int i = 0; i < rank_; ++i) {
    OCTET_CHECK(extents[i] >= 0, "extent {} is {}", i, extents[i]);
    extents_[i] = extents[i];
  }
}

int64_t Shape::numel() const {
  int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= extents_[i];
  return product;
}

std::string Shape::to_string() const {
  return fmt::format("[{}]", fmt::join(extents_.begin(), extents_.begin() + rank_, ", "));
}

Tensor::Tensor(std::shared_ptr<std::byte> storage, DType dtype, Shape shape)
    : storage_(std::move(storage)), data_(storage_.get()), dtype_(dtype), shape_(shape) {}

Tensor Tensor::view(void* data, DType dtype, Shape shape) {
  Tensor tensor;
  tensor.data_ = static_cast<std::byte*>(data);
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  return tensor;
}

Tensor Tensor::host(DType dtype, Shape shape) {
  constexpr size_t kAlignment = 64;
  const size_t bytes = static_cast<size_t>(shape.numel()) * dtype_size(dtype);
  const size_t padded = std::max(bytes + kAlignment - 1, kAlignment) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, padded);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, padded);
  return Tensor(std::shared_ptr<std::byte>(static_cast<std::byte*>(memory), std::free), dtype,
                shape);
}

Tensor Tensor::rows(int64_t begin, int64_t end) const {
  OCTET_CHECK(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0],
              "rows [{}, {}) of {}", begin, end, shape_.to_string());
  std::array<int64_t, Shape::kMaxRank> extents{};
  int64_t row = 1;
  for (int i = 0; i < shape_.rank(); ++i) {
    extents[i] = shape_[i];
    if (i > 0) row *= shape_[i];
  }
  extents[0] = end - begin;
  Tensor part = *this;
  part.shape_ = Shape(std::span<const int64_t>(extents.data(), shape_.rank()));
  if (data_ != nullptr) part.data_ = data_ + static_cast<size_t>(begin * row) * dtype_size(dtype_);
  return part;
}

Tensor Tensor::reshape(Shape shape) const {
  OCTET_CHECK(shape.numel() == shape_.numel(), "{} as {}", shape_.to_string(), shape.to_string());
  Tensor other = *this;
  other.shape_ = shape;
  return other;
}

float element(const Tensor& tensor, int64_t i) {
  switch (tensor.dtype()) {
    case DType::kF32:
      return tensor.data<float>()[i];
    case DType::kBF16:
      return bf16_to_f32(tensor.data<uint16_t>()[i]);
    case DType::kF16:
      return f16_to_f32(tensor.data<uint16_t>()[i]);
    case DType::kI8:
      return tensor.data<int8_t>()[i];
    default:
      OCTET_CHECK(false, "dtype {}", dtype_name(tensor.dtype()));
      return 0;
  }
}

}  // namespace octet
