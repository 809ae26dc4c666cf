#include "runtime/weights/slice_io.h"

#include "kernels/check.h"

namespace octet {

TensorSlice whole(const Shape& shape) {
  return {.axis = 0,
          .begin = 0,
          .end = shape.rank() == 0 ? 1 : shape[0],
          .part_begin = 0,
          .part_end = 1};
}

Shape slice_shape(const Shape& shape, const TensorSlice& slice) {
  if (shape.rank() == 0) return shape;
  std::vector<int64_t> extents;
  for (int i = 0; i < shape.rank(); ++i) {
    extents.push_back(i == slice.axis ? slice.end - slice.begin : shape[i]);
  }
  return Shape(extents);
}

ByteRuns byte_runs(const Shape& shape, const TensorSlice& slice, uint64_t element_bytes) {
  const auto begin = static_cast<uint64_t>(slice.begin);
  const auto count = static_cast<uint64_t>(slice.end - slice.begin);
  if (slice.axis == 1) {
    const uint64_t row_bytes = static_cast<uint64_t>(shape[1]) * element_bytes;
    return {.begin = begin * element_bytes,
            .run_bytes = count * element_bytes,
            .stride = row_bytes,
            .rows = count == 0 ? 0 : static_cast<uint64_t>(shape[0])};
  }
  uint64_t row_bytes = element_bytes;
  for (int i = 1; i < shape.rank(); ++i) row_bytes *= static_cast<uint64_t>(shape[i]);
  return {.begin = begin * row_bytes, .run_bytes = count * row_bytes, .stride = 0, .rows = 1};
}

void check_slice(const std::string& name, DType dtype, const Shape& shape, const TensorSlice& slice,
                 const Tensor& out) {
  const int64_t extent = shape.rank() == 0 ? 1 : shape[slice.axis];
  OCTET_CHECK(slice.axis == 0 || (slice.axis == 1 && shape.rank() == 2), "{} {} axis {}", name,
              shape.to_string(), slice.axis);
  OCTET_CHECK(0 <= slice.begin && slice.begin <= slice.end && slice.end <= extent,
              "{} [{}, {}) of {}", name, slice.begin, slice.end, extent);
  OCTET_CHECK(out.dtype() == dtype && out.shape() == slice_shape(shape, slice), "{} {} into {} {}",
              name, slice_shape(shape, slice).to_string(), dtype_name(out.dtype()),
              out.shape().to_string());
}

void read_slice(const InputFile& file, uint64_t offset, const Shape& shape,
                const TensorSlice& slice, const Tensor& out, std::atomic<uint64_t>& bytes_read) {
  const ByteRuns runs = byte_runs(shape, slice, dtype_size(out.dtype()));
  std::byte* to = out.raw_data();
  for (uint64_t row = 0; row < runs.rows; ++row, to += runs.run_bytes) {
    file.read(offset + runs.begin + row * runs.stride, {to, runs.run_bytes});
  }
  bytes_read += runs.rows * runs.run_bytes;
}

}  // namespace octet
