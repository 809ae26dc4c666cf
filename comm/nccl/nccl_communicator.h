// NcclCommunicator, "nccl": any hosts. NCCL carries the roots; they are added here, in the plan's
// order. Small sums: all roots go to all ranks; large ones: part r of all roots to rank r, which
// adds them, and the parts to all. With CommOptions::reduce "fast" NCCL adds, in an order of its
// own.
#pragma once

#include <atomic>

#include "comm/nccl/device_communicator.h"
#include "comm/nccl/nccl_library.h"
#include "comm/nccl/peer_kernels.h"
#include "kernels/tensor.h"

namespace octet::peers {

class NcclCommunicator : public DeviceCommunicator {
 public:
  // Collective. Throws RankLost where the ranks do not come together within the timeout.
  NcclCommunicator(Communicator& host, const DeviceQueue& queue, const CommOptions& options,
                   const NcclLibrary& library);
  ~NcclCommunicator() override;

  std::string name() const override { return "nccl"; }
  std::span<float> send_buffer(size_t count) override;
  void all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                      std::span<float> out) override;
  void gather(std::span<const float> in, size_t rows, std::span<const size_t> columns,
              std::span<float> out, int root) override;

 private:
  void call(ncclResult_t result, const char* what);  // waits where it is still in progress
  void require(ncclResult_t result, const char* what);
  // Inside a group, which its end starts.
  void send(const float* data, size_t count, int peer);
  void receive(float* data, size_t count, int peer);
  void exchange_whole(const ReducePlan& plan, std::span<const float> roots, SumCall sum);
  void exchange_parts(const ReducePlan& plan, std::span<const float> roots, SumCall sum);
  void reduce_fast(std::span<const float> roots, std::span<float> out);
  std::string trouble(bool late) const;
  void abort();

  const NcclLibrary& nccl_;
  ncclComm_t comm_ = nullptr;
  std::atomic<bool> aborted_ = false;
  std::shared_ptr<float> send_, received_;
};

}  // namespace octet::peers
