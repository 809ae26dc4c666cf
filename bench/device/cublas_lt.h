// cuBLASLt's int8 product, a yardstick: int32 sums, without scales.
//
// The library (libcublasLt.so of the CUDA version that this was built with) is loaded when it is
// asked for, so that the other benches run where it is missing.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "kernels/tensor.h"

namespace octet::bench {

// sums [n, out] = x [n, in] times the transpose of w [out, in], which all lie on the device.
// Throws std::runtime_error, as queue() does, where the library is missing or fails.
class CublasLtProduct {
 public:
  CublasLtProduct(int64_t n, int64_t out, int64_t in, size_t workspace_bytes);

  // How it can be done, best first as the library guesses; empty where it cannot.
  const std::vector<cublasLtMatmulAlgo_t>& algorithms() const { return algorithms_; }

  // REQUIRES: x and w in int8, sums in int32, a workspace as large as was said; all of them aligned
  // to 256 bytes, as cudaMalloc's memory is and the guesses assume.
  void queue(const cublasLtMatmulAlgo_t& algorithm, const Tensor& x, const Tensor& w,
             const Tensor& sums, const Tensor& workspace, cudaStream_t stream) const;

 private:
  template <typename Description>
  using Owned =
      std::unique_ptr<std::remove_pointer_t<Description>, cublasStatus_t (*)(Description)>;

  Owned<cublasLtMatmulDesc_t> operation_;
  Owned<cublasLtMatrixLayout_t> w_, x_, sums_;
  std::vector<cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace octet::bench
