// PeerCommunicator, "ipc": up to kMaxPeers ranks of one host whose GPUs read each other's memory.
// Each operation is one kernel (peer_kernels.h).
//
// Why two send buffers suffice: a rank meets its peers in every operation, and whoever arrives has
// ended the operation before. So when a rank refills the buffer of the last but one, all have read
// it. After a gather, which ends with a second meeting, either may be refilled: the next operation
// starts with the first again, so that a replayed step finds the buffers as it left them.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "comm/nccl/binding.h"
#include "comm/nccl/device_communicator.h"
#include "comm/nccl/peer_kernels.h"
#include "comm/nccl/peer_memory.h"

namespace octet::peers {

class PeerCommunicator : public DeviceCommunicator {
 public:
  // Collective. REQUIRES: on_one_host(ranks), at most kMaxPeers.
  PeerCommunicator(Communicator& host, const DeviceQueue& queue, const CommOptions& options,
                   std::vector<Binding> ranks);
  ~PeerCommunicator() override;

  std::string name() const override { return "ipc"; }
  std::span<float> send_buffer(size_t count) override;
  void all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                      std::span<float> out) override;
  void gather(std::span<const float> in, size_t rows, std::span<const size_t> columns,
              std::span<float> out, int root) override;

 private:
  float* buffer(int rank, int which) const;
  void stage(std::span<const float> data);
  std::string trouble(bool late) const;

  const std::vector<Binding> ranks_;
  const size_t buffer_floats_;
  PeerMemory memory_;
  std::shared_ptr<uint32_t> stop_;  // the host's memory, which the kernels see
  Meeting meeting_;
  Parts parts_;
  int which_ = 0;  // the send buffer that the next operation uses
};

}  // namespace octet::peers
