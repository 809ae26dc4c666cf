#include "comm/nccl/lone_device_communicator.h"

#include "comm/nccl/peer_kernels.h"
#include "kernels/check.h"
#include "kernels/cuda/device_context.h"

namespace octet::peers {

using cuda::check;

LoneDeviceCommunicator::LoneDeviceCommunicator(Communicator& host, const DeviceQueue& queue,
                                               const CommOptions& options)
    : DeviceCommunicator(host, queue, options) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, options.max_reduce_floats * sizeof(float)), "cudaMalloc");
  send_.reset(static_cast<float*>(memory), [](float* p) { cudaFree(p); });
  start_watch({.trouble = [](bool) { return std::string(); }, .give_up = [] {}});
}

std::span<float> LoneDeviceCommunicator::send_buffer(size_t count) {
  OCTET_CHECK(count <= options_.max_reduce_floats, "{} floats, room for {}", count,
              options_.max_reduce_floats);
  return {send_.get(), count};
}

void LoneDeviceCommunicator::all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                                            std::span<float> out) {
  begin_sum(plan, roots.size(), out.size());
  if (out.empty()) return;
  const int own = plan.num_roots(0);
  SumCall sum{.plan = fold_plan(ReducePlan(own, own)),
              .count = static_cast<int64_t>(out.size()),
              .out = out.data()};
  for (int i = 0; i < own; ++i) sum.roots[i] = roots.data() + i * out.size();
  sum_here(sum, stream_);
}

void LoneDeviceCommunicator::gather(std::span<const float> in, size_t rows,
                                    std::span<const size_t> columns, std::span<float> out, int) {
  begin_gather(in.size(), rows, columns);
  if (rows == 0) return;
  const size_t width = columns[0] * sizeof(float), stride = out.size() / rows * sizeof(float);
  check(cudaMemsetAsync(out.data(), 0, out.size_bytes(), stream_), "cudaMemset");
  check(cudaMemcpy2DAsync(out.data(), stride, in.data(), width, width, rows,
                          cudaMemcpyDeviceToDevice, stream_),
        "cudaMemcpy2D");
}

}  // namespace octet::peers
