#include "comm/nccl/device_communicator.h"

#include <utility>

#include "kernels/check.h"
#include "kernels/cuda/device_context.h"

namespace octet::peers {

DeviceCommunicator::DeviceCommunicator(Communicator& host, const DeviceQueue& queue,
                                       const CommOptions& options)
    : host_(host), options_(options), stream_(static_cast<cudaStream_t>(queue.stream)) {
  cuda::check(cudaSetDevice(queue.device), "cudaSetDevice");
}

void DeviceCommunicator::start_watch(Watch::Hooks hooks) {
  watch_.emplace(options_.timeout, std::move(hooks));
}

bool DeviceCommunicator::stop_watch() noexcept {
  const bool lost = watch_ && watch_->lost();
  watch_.reset();
  return !lost;
}

void DeviceCommunicator::barrier() {
  settle();
  host_.barrier();
}

void DeviceCommunicator::settle() {
  watch_->begin();
  const cudaError_t error = cudaStreamSynchronize(stream_);
  watch_->end();
  cuda::check(error, "the device's queue");
}

bool DeviceCommunicator::queue_is_empty() const {
  return cudaStreamQuery(stream_) != cudaErrorNotReady;
}

void DeviceCommunicator::begin_sum(const ReducePlan& plan, size_t roots, size_t count) {
  OCTET_CHECK(plan.size() == size() && roots == plan.num_roots(rank()) * count &&
                  roots <= options_.max_reduce_floats,
              "{} floats for {} roots of {} on {} ranks, room for {}", roots,
              plan.num_roots(rank()), count, size(), options_.max_reduce_floats);
  watch_->begin();
}

void DeviceCommunicator::begin_gather(size_t in, size_t rows, std::span<const size_t> columns) {
  OCTET_CHECK(columns.size() == static_cast<size_t>(size()) && in == rows * columns[rank()] &&
                  in <= options_.max_reduce_floats,
              "{} floats on rank {}, {} rows, {} ranks, room for {}", in, rank(), rows,
              columns.size(), options_.max_reduce_floats);
  watch_->begin();
}

}  // namespace octet::peers
