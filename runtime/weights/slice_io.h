// Slices of row-major tensors: their shape, and the byte ranges of a file that hold them.
#pragma once

#include <atomic>
#include <cstdint>

#include "kernels/tensor.h"
#include "runtime/formats/file.h"
#include "runtime/weights/partition.h"

namespace octet {

TensorSlice whole(const Shape& shape);  // axis 0, all rows, one part
Shape slice_shape(const Shape& shape, const TensorSlice& slice);

// What a slice is as bytes: `rows` runs of `run_bytes` each, `stride` apart, the first at `begin`.
struct ByteRuns {
  uint64_t begin = 0, run_bytes = 0, stride = 0, rows = 1;
};
ByteRuns byte_runs(const Shape& shape, const TensorSlice& slice, uint64_t element_bytes);

// OCTET_CHECKs that the slice is inside the tensor and `out` is its memory.
void check_slice(const std::string& name, DType dtype, const Shape& shape, const TensorSlice& slice,
                 const Tensor& out);

// Reads the slice of a tensor that lies at `offset` of the file, its ranges only; adds their bytes
// to `bytes_read`.
void read_slice(const InputFile& file, uint64_t offset, const Shape& shape,
                const TensorSlice& slice, const Tensor& out, std::atomic<uint64_t>& bytes_read);

}  // namespace octet
