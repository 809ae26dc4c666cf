#include <algorithm>

#include "kernels/cuda/quantize.cuh"
#include "kernels/cuda/quantize.h"

namespace octet::cuda {
namespace {

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, kLeastBlocks<kGroups>)
    quantize_kernel(QuantizeCall call) {
  let_successor_start();
  wait_for_predecessor();
  const int leaf = blockIdx.y, row = blockIdx.x;
  HeldRow<kGroups> held;
  use_rows<kGroups>(
      call.begin[leaf + 1] - call.begin[leaf], [&](int i, const Four& four) { held.x[i] = four; },
      call.x + int64_t{row} * call.in + call.begin[leaf]);
  quantize_slice(call, row, leaf, held);
}

}  // namespace

void quantize_rows(const QuantizeCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.num_leaves == 0) return;
  int widest = 0;
  for (int l = 0; l < call.num_leaves; ++l) {
    widest = std::max(widest, call.begin[l + 1] - call.begin[l]);
  }
  hold_rows<kMaxInt8Columns>(widest, [&](auto groups, unsigned threads) {
    launch(quantize_kernel<groups()>, dim3(call.n, call.num_leaves), dim3(threads),
           quantize_shared_bytes<groups()>(call.mixed, threads), stream, call);
  });
}

}  // namespace octet::cuda
