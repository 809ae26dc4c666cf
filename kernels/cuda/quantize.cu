#include "kernels/cuda/quantize.cuh"
#include "kernels/cuda/quantize.h"

namespace octet::cuda {
namespace {

__global__ void quantize_kernel(QuantizeCall call) {
  let_successor_start();
  wait_for_predecessor();
  const int leaf = blockIdx.y, row = blockIdx.x;
  quantize_slice(call, row, leaf, call.x + int64_t{row} * call.in + call.begin[leaf],
                 reinterpret_cast<float*>(dynamic_shared()));
}

}  // namespace

void quantize_rows(const QuantizeCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.num_leaves == 0) return;
  int widest = 0;
  for (int l = 0; l < call.num_leaves; ++l) {
    widest =
        widest > call.begin[l + 1] - call.begin[l] ? widest : call.begin[l + 1] - call.begin[l];
  }
  const unsigned threads = widest >= 4096 && call.n < 128 ? 1024 : widest >= 1024 ? 256 : 128;
  launch(quantize_kernel, dim3(call.n, call.num_leaves), dim3(threads),
         kQuantizeShared * sizeof(float), stream, call);
}

}  // namespace octet::cuda
