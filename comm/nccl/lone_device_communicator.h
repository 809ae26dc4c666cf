// LoneDeviceCommunicator: LoneCommunicator's part on a device: rank 0's work without the others.
#pragma once

#include <memory>

#include "comm/nccl/device_communicator.h"

namespace octet::peers {

class LoneDeviceCommunicator : public DeviceCommunicator {
 public:
  LoneDeviceCommunicator(Communicator& host, const DeviceQueue& queue, const CommOptions& options);
  ~LoneDeviceCommunicator() override { stop_watch(); }

  std::string name() const override { return "lone"; }
  std::span<float> send_buffer(size_t count) override;
  void all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                      std::span<float> out) override;
  void gather(std::span<const float> in, size_t rows, std::span<const size_t> columns,
              std::span<float> out, int root) override;

 private:
  std::shared_ptr<float> send_;
};

}  // namespace octet::peers
