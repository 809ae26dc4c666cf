#include "tests/comm/device_step.h"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include <stdexcept>
#include <vector>

#include "kernels/cuda/device_context.h"

namespace octet::testing {

void check_replayed_step(Communicator& communicator, Backend& backend) {
  constexpr size_t kCount = 1000;
  const ReducePlan plan(communicator.size(), communicator.size());
  const auto stream = static_cast<cudaStream_t>(backend.queue().stream);
  const Tensor values = backend.allocate(DType::kF32, {kCount});
  const Tensor sums = backend.allocate(DType::kF32, {3, kCount});
  const Tensor joined = backend.allocate(DType::kF32, {communicator.size()});
  const std::vector<size_t> columns(communicator.size(), 1);
  const auto step = [&] {
    for (int i = 0; i < 3; ++i) {  // an odd number: the buffers do not come round by themselves
      const std::span<float> roots = communicator.send_buffer(kCount);
      cuda::check(cudaMemcpyAsync(roots.data(), values.raw_data(), values.bytes(),
                                  cudaMemcpyDeviceToDevice, stream),
                  "cudaMemcpyAsync");
      communicator.all_reduce_sum(plan, roots, sums.rows(i, i + 1).span<float>());
    }
    communicator.gather(sums.span<const float>().first(1), 1, columns, joined.span<float>(), 0);
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<float> own(kCount, static_cast<float>(round + communicator.rank()));
    backend.upload(Tensor::view(own.data(), DType::kF32, {kCount}), values);
    backend.replay(1, step);  // runs it, records it, replays it
    communicator.settle();
    std::vector<float> out(3 * kCount);
    backend.download(sums, Tensor::view(out.data(), DType::kF32, {3, kCount}));
    const int n = communicator.size();
    const float expected = static_cast<float>(round * n + n * (n - 1) / 2);
    for (const float sum : out) {
      if (sum == expected) continue;
      throw std::runtime_error(fmt::format("round {}: {}, not {}", round, sum, expected));
    }
  }
}

}  // namespace octet::testing
