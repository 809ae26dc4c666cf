// DeviceCommunicator: what the communicators for a device share. Messages go through the host's
// communicator, from which they were made; operations on floats are queued on the back end's
// stream.
#pragma once

#include <cuda_runtime.h>

#include <optional>

#include "comm/communicator.h"
#include "comm/communicator_factory.h"
#include "comm/nccl/watch.h"
#include "kernels/backend.h"

namespace octet::peers {

class DeviceCommunicator : public Communicator {
 public:
  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  std::span<const std::byte> broadcast(std::span<const std::byte> message, int root) override {
    return host_.broadcast(message, root);
  }
  void barrier() override;
  void settle() override;

 protected:
  // `host` is borrowed. This thread's CUDA device becomes the queue's.
  DeviceCommunicator(Communicator& host, const DeviceQueue& queue, const CommOptions& options);

  // For the most derived class: from the end of its constructor to the start of its destructor.
  void start_watch(Watch::Hooks hooks);
  bool stop_watch() noexcept;  // false: the group was lost

  // Begin of an operation; checks what it was given.
  void begin_sum(const ReducePlan& plan, size_t roots, size_t count);
  void begin_gather(size_t in, size_t rows, std::span<const size_t> columns);
  bool queue_is_empty() const;

  Communicator& host_;
  const CommOptions options_;
  const cudaStream_t stream_;

 private:
  std::optional<Watch> watch_;
};

}  // namespace octet::peers
