// kAnyRows: one thread an output of a row.
#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/linear_kernels.h"

namespace octet::cuda {
namespace {

constexpr int kThreads = 128;

__device__ int dot16(const int8_t* a, const int8_t* b, int sum) {
  const int4 x = *reinterpret_cast<const int4*>(a), y = *reinterpret_cast<const int4*>(b);
  return __dp4a(x.w, y.w, __dp4a(x.z, y.z, __dp4a(x.y, y.y, __dp4a(x.x, y.x, sum))));
}

// The product of row's digits and output's weights over leaf's columns.
__device__ int leaf_sum(const LinearCall& call, const int8_t* digits, int row, int output,
                        int leaf) {
  const int8_t* x = digits + int64_t{row} * call.padded_in;
  int sum = 0;
  for (int k = call.place[leaf]; k < call.place[leaf + 1]; k += 16) {
    const int64_t tile = int64_t{k / kSpan} * call.padded_rows + output;
    const int chunk = k % kSpan / 16 ^ output / 2 % 4;
    sum = dot16(x + k, call.weight + tile * kSpan + chunk * 16, sum);
  }
  return sum;
}

__global__ void any_rows_kernel(LinearCall call) {
  let_successor_start();
  wait_for_predecessor();
  const int row = blockIdx.x, root = blockIdx.z;
  const int column = blockIdx.y * kThreads + threadIdx.x;
  if (column >= call.out_features) return;
  const bool gated = call.activation == Activation::kSiluGate;
  const auto value = [&](int output) {
    return root_value(
        call, row, output, root,
        [&](int leaf) { return leaf_sum(call, call.low, row, output, leaf); },
        [&](int leaf) { return leaf_sum(call, call.high, row, output, leaf); });
  };
  const int output = gated ? 2 * column : column;
  *result_place(call, row, output, root) =
      activate(call.activation, value(output), gated ? value(output + 1) : 0.0f);
}

void run(const LinearCall& call, cudaStream_t stream) {
  launch(any_rows_kernel,
         dim3(call.n, (call.out_features + kThreads - 1) / kThreads, call.num_roots),
         dim3(kThreads), 0, stream, call);
}

}  // namespace

const LinearKernel kAnyRows{"any rows", [](const LinearCall&) { return true; }, run};

}  // namespace octet::cuda
