// add_norm: one block of threads a row. Thread t has the columns t, t + threads, ...; the number of
// threads follows from the width alone.
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/ops.h"

namespace octet::cuda {
namespace {

__global__ void norm_kernel(NormCall call) {
  let_successor_start();
  wait_for_predecessor();
  float* reduce = reinterpret_cast<float*>(dynamic_shared());
  float* line = reduce + kReduceFloats;  // [h]
  const int h = call.h;
  float* residual = call.residual + int64_t{blockIdx.x} * h;
  const float* delta = call.delta == nullptr ? nullptr : call.delta + int64_t{blockIdx.x} * h;
  float sum = 0, squares = 0;
  for (int k = threadIdx.x; k < h; k += blockDim.x) {
    float x = residual[k];
    if (delta != nullptr) {
      x += call.delta_bias == nullptr ? delta[k] : delta[k] + call.delta_bias[k];
      residual[k] = x;
    }
    line[k] = x;
    sum += x;
    squares = fmaf(x, x, squares);
  }
  if (call.out == nullptr) return;
  const float count = static_cast<float>(h);
  float mean = 0;
  if (call.kind == NormKind::kLayer) {
    mean = block_sum(sum, reduce) / count;
    squares = 0;
    for (int k = threadIdx.x; k < h; k += blockDim.x) {
      const float x = line[k] - mean;
      squares = fmaf(x, x, squares);
    }
  }
  const float inverse = 1.0f / sqrtf(block_sum(squares, reduce) / count + call.eps);
  float* out = call.out + int64_t{blockIdx.x} * h;
  for (int k = threadIdx.x; k < h; k += blockDim.x) {
    const float x = (line[k] - mean) * inverse * call.weight[k];
    out[k] = call.bias == nullptr ? x : x + call.bias[k];
  }
}

}  // namespace

void add_norm(const NormCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.h == 0) return;
  const unsigned threads = call.h >= 4096 ? 1024 : call.h >= 1024 ? 512 : 128;
  launch(norm_kernel, dim3(call.n), dim3(threads), (kReduceFloats + call.h) * sizeof(float), stream,
         call);
}

}  // namespace octet::cuda
