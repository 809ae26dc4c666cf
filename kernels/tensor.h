// Tensor: memory, element type and shape. No mathematics.
//
// A Tensor is a handle: copies share the storage. A view (storage() == nullptr) does not own its
// memory; whoever made it keeps the memory alive. Row-major, contiguous. The memory may be a
// device's: only the Backend that allocated it may touch the elements then. Thread-compatible.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

#include "kernels/dtype.h"

namespace octet {

// Up to four extents; unused ones are 1.
class Shape {
 public:
  static constexpr int kMaxRank = 4;
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);
  explicit Shape(
      std::span<const int64_t> extents);  // REQUIRES: at most kMaxRank extents, none negative

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return extents_[i]; }
  int64_t numel() const;
  bool operator==(const Shape&) const = default;
  std::string to_string() const;  // "[2, 3]"

 private:
  std::array<int64_t, kMaxRank> extents_{1, 1, 1, 1};
  int rank_ = 0;
};

class Tensor {
 public:
  Tensor() = default;                                        // empty: no data, shape [0]
  static Tensor view(void* data, DType dtype, Shape shape);  // does not own
  static Tensor host(DType dtype, Shape shape);  // owns zeroed host memory, 64-byte aligned
  Tensor(std::shared_ptr<std::byte> storage, DType dtype,
         Shape shape);  // shares `storage` from its start

  bool empty() const { return data_ == nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t dim(int i) const { return shape_[i]; }
  int64_t numel() const { return empty() ? 0 : shape_.numel(); }
  size_t bytes() const { return static_cast<size_t>(numel()) * dtype_size(dtype_); }
  const std::shared_ptr<std::byte>& storage() const { return storage_; }

  // REQUIRES (raw_data excepted): sizeof(T) is the element size.
  std::byte* raw_data() const { return data_; }
  template <typename T>
  T* data() const {
    return reinterpret_cast<T*>(data_);
  }
  template <typename T>
  std::span<T> span() const {
    return {data<T>(), static_cast<size_t>(numel())};
  }

  Tensor rows(int64_t begin, int64_t end) const;  // [begin, end) of the first extent, same storage
  Tensor reshape(Shape shape) const;              // REQUIRES: the same number of elements

 private:
  std::shared_ptr<std::byte> storage_;
  std::byte* data_ = nullptr;
  DType dtype_ = DType::kF32;
  Shape shape_{0};
};

// Element i of a kF32, kBF16, kF16 or kI8 tensor in host memory.
float element(const Tensor& tensor, int64_t i);

}  // namespace octet
