#include "kernels/cuda/device.cuh"
#include "kernels/cuda/pack.h"

namespace octet::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kChunk = 16;

// One thread a chunk of 16 packed columns of a row.
__global__ void pack_kernel(PackCall call) {
  // The successor starts late: products read weights before they wait for who is in front of them.
  wait_for_predecessor();
  const int chunks = call.padded_in / kChunk;
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= int64_t{call.count} * chunks) return;
  const int row = static_cast<int>(index / chunks), k = static_cast<int>(index % chunks) * kChunk;
  int leaf = 0;
  while (call.place[leaf + 1] <= k) ++leaf;
  const int column = call.begin[leaf] + k - call.place[leaf], end = call.begin[leaf + 1];
  const int8_t* from = call.rows + int64_t{row} * call.in;
  alignas(16) int8_t chunk[kChunk];
  if (column + kChunk <= end && reinterpret_cast<uintptr_t>(from + column) % kChunk == 0) {
    *reinterpret_cast<int4*>(chunk) = *reinterpret_cast<const int4*>(from + column);
  } else {
    for (int i = 0; i < kChunk; ++i) chunk[i] = column + i < end ? from[column + i] : int8_t{0};
  }
  const int output = packed_row(call.first + row, call.gates);
  const int64_t tile = int64_t{k / kSpan} * call.padded_rows + output;
  const int place = k % kSpan / kChunk ^ output / 2 % 4;
  *reinterpret_cast<int4*>(call.packed + tile * kSpan + place * kChunk) =
      *reinterpret_cast<const int4*>(chunk);
}

}  // namespace

void pack_rows(const PackCall& call, cudaStream_t stream) {
  const int64_t threads = int64_t{call.count} * (call.padded_in / kChunk);
  if (threads == 0) return;
  launch(pack_kernel, dim3(static_cast<unsigned>((threads + kThreads - 1) / kThreads)),
         dim3(kThreads), 0, stream, call);
}

}  // namespace octet::cuda
