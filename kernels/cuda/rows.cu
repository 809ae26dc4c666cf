// Rows that are fetched: embeddings and the rows to be sampled.
#include "kernels/cuda/numbers.cuh"
#include "kernels/cuda/ops.h"

namespace octet::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
__global__ void embed_kernel(EmbedCall call) {
  let_successor_start();
  wait_for_predecessor();
  const int64_t row = int64_t{call.ids[blockIdx.x]} - call.first_id;
  const bool here = row >= 0 && row < call.rows;
  const T* from = static_cast<const T*>(call.table) + (here ? row * call.h : 0);
  float* out = call.out + int64_t{blockIdx.x} * call.h;
  for (int k = threadIdx.x; k < call.h; k += kThreads) {
    out[k] = (here ? to_float(from[k]) : 0.0f) + 0.0f;
  }
}

__global__ void gather_kernel(const float* x, const int32_t* rows, int h, float* out) {
  let_successor_start();
  wait_for_predecessor();
  const float* from = x + int64_t{rows[blockIdx.x]} * h;
  for (int k = threadIdx.x; k < h; k += kThreads) out[int64_t{blockIdx.x} * h + k] = from[k];
}

}  // namespace

void embed(const EmbedCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.h == 0) return;
  const auto kernel = call.dtype == DType::kF32    ? embed_kernel<float>
                      : call.dtype == DType::kBF16 ? embed_kernel<__nv_bfloat16>
                                                   : embed_kernel<__half>;
  launch(kernel, dim3(call.n), dim3(kThreads), 0, stream, call);
}

void gather_rows(const float* x, const int32_t* rows, int m, int h, float* out,
                 cudaStream_t stream) {
  if (m == 0 || h == 0) return;
  launch(gather_kernel, dim3(m), dim3(kThreads), 0, stream, x, rows, h, out);
}

}  // namespace octet::cuda
