// What the device could do at most: bytes read, int8 products, bytes over the link.
#include <algorithm>
#include <vector>

#include "bench/device/timing.h"
#include "kernels/cuda/device.cuh"

namespace octet::bench {
namespace {

using namespace octet::cuda;

constexpr int kThreads = 512;

__global__ void read_kernel(const uint4* from, int64_t count, unsigned* out) {
  unsigned sum = 0;
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  for (; i + 7 * stride < count; i += 8 * stride) {
    uint4 v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = load_streaming(from + i + j * stride);
#pragma unroll
    for (int j = 0; j < 8; ++j) sum += v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 12345u) *out = sum;  // keeps the loads
}

// mma.sync from registers: eight independent chains a warp.
__global__ void mma_kernel(int rounds, int* out) {
  int32_t sums[8][4] = {};
  const uint32_t a[4] = {threadIdx.x, 1, 2, 3}, b[2] = {threadIdx.x, 5};
  for (int i = 0; i < rounds; ++i) {
#pragma unroll
    for (auto& sum : sums) mma_s8(sum, a, b);
  }
  int total = 0;
  for (const auto& sum : sums) total += sum[0] + sum[1] + sum[2] + sum[3];
  if (total == 12345) *out = total;
}

// Median seconds of `queue` on the stream.
template <typename Queue>
double timed(cudaStream_t stream, const Queue& queue) {
  cudaEvent_t begin, end;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  std::vector<float> rounds;
  for (int i = 0; i < 9; ++i) {
    cudaEventRecord(begin, stream);
    queue();
    cudaEventRecord(end, stream);
    cudaEventSynchronize(end);
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    rounds.push_back(milliseconds);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(rounds.begin(), rounds.end());
  return rounds[4] / 1e3;
}

}  // namespace

void measure_ceilings(Bench& bench) {
  Backend& backend = *bench.backend;
  const auto stream = static_cast<cudaStream_t>(backend.queue().stream);
  int multiprocessors = 1;
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, backend.queue().device);
  const Tensor out = backend.allocate(DType::kI32, {1});

  constexpr int64_t kBytes = int64_t{4} << 30;
  const Tensor memory = backend.allocate(DType::kU8, {kBytes});
  const double reading = timed(stream, [&] {
    launch(read_kernel, dim3(multiprocessors * 4), dim3(kThreads), 0, stream,
           static_cast<const uint4*>(static_cast<void*>(memory.raw_data())), kBytes / 16,
           out.data<unsigned>());
  });
  bench.read_gb_s = kBytes / reading / 1e9;
  report("ceiling.read", bench.read_gb_s, "GB/s");

  constexpr int kRounds = 4096;
  const double multiplying = timed(stream, [&] {
    launch(mma_kernel, dim3(multiprocessors * 4), dim3(kThreads), 0, stream, kRounds,
           out.data<int>());
  });
  const double products = 4.0 * multiprocessors * (kThreads / 32) * kRounds * 8 * (16 * 8 * 32);
  bench.int8_tops = 2 * products / multiplying / 1e12;
  report("ceiling.int8_mma_sync", bench.int8_tops, "TOPS");

  void* pinned = nullptr;
  constexpr size_t kLinkBytes = size_t{256} << 20;
  if (cudaMallocHost(&pinned, kLinkBytes) != cudaSuccess) return;
  const double link = timed(stream, [&] {
    cudaMemcpyAsync(memory.raw_data(), pinned, kLinkBytes, cudaMemcpyHostToDevice, stream);
  });
  cudaFreeHost(pinned);
  bench.link_gb_s = kLinkBytes / link / 1e9;
  report("ceiling.link", bench.link_gb_s, "GB/s");
}

}  // namespace octet::bench
