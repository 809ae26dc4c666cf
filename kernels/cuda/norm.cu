// add_norm: one block of threads a row. Thread t has the columns t, t + threads, ...; the number of
// threads follows from the width alone.
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/quantize.cuh"

namespace octet::cuda {
namespace {

// Shared memory: room for reductions, then the row [h].
__device__ float* line_of_block() {
  return reinterpret_cast<float*>(dynamic_shared()) + kQuantizeShared;
}

// Updates the residual of the block's row; put(k, value) gets the results of this thread's columns.
template <typename Put>
__device__ void normalise_row(const NormCall& call, const Put& put) {
  float* reduce = reinterpret_cast<float*>(dynamic_shared());
  float* line = line_of_block();
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
  if (call.weight == nullptr) return;
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
  for (int k = threadIdx.x; k < h; k += blockDim.x) {
    const float x = (line[k] - mean) * inverse * call.weight[k];
    put(k, call.bias == nullptr ? x : x + call.bias[k]);
  }
}

__global__ void norm_kernel(NormCall call) {
  let_successor_start();
  wait_for_predecessor();
  float* out = call.out + int64_t{blockIdx.x} * call.h;
  normalise_row(call, [&](int k, float x) { out[k] = x; });
}

__global__ void norm_quantize_kernel(NormCall norm, QuantizeCall rows) {
  let_successor_start();
  wait_for_predecessor();
  float* line = line_of_block();
  normalise_row(norm, [&](int k, float x) { line[k] = x; });
  __syncthreads();
  for (int leaf = 0; leaf < rows.num_leaves; ++leaf) {
    quantize_slice(rows, blockIdx.x, leaf, line + rows.begin[leaf],
                   reinterpret_cast<float*>(dynamic_shared()));
    __syncthreads();
  }
}

unsigned threads_of(int h) { return h >= 4096 ? 1024 : h >= 1024 ? 512 : 128; }

size_t shared_bytes(int h) { return (kQuantizeShared + h) * sizeof(float); }

}  // namespace

void add_norm(const NormCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.h == 0) return;
  launch(norm_kernel, dim3(call.n), dim3(threads_of(call.h)), shared_bytes(call.h), stream, call);
}

void add_norm_quantized(const NormCall& norm, const QuantizeCall& rows, cudaStream_t stream) {
  if (norm.n == 0 || norm.h == 0) return;
  launch(norm_quantize_kernel, dim3(norm.n), dim3(threads_of(norm.h)), shared_bytes(norm.h), stream,
         norm, rows);
}

}  // namespace octet::cuda
