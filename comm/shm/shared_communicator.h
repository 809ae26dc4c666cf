// SharedCommunicator: a Communicator over a SharedRegion; ranks are threads or processes of one
// host. Data never move through a kernel: peers read each other's buffers in place.
//
// Why two buffers suffice: a rank refills a buffer only when every peer has published in an
// operation after the one that used it last (await_released), and with that has let go of what it
// read before.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "comm/shm/shared_region.h"

namespace octet {

class SharedCommunicator : public Communicator {
 public:
  // `watch_processes`: the ranks are processes whose death is looked for while waiting.
  SharedCommunicator(std::string name, SharedRegion region, int rank,
                     std::chrono::milliseconds timeout, bool watch_processes);

  std::string name() const override { return name_; }
  int rank() const override { return rank_; }
  int size() const override { return region_.layout().size; }
  std::span<float> send_buffer(size_t count) override;
  void all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                      std::span<float> out) override;
  UnfoldedSum all_reduce_unfolded(const ReducePlan& plan, std::span<const float> roots,
                                  std::span<float> out, bool in_parts) override;
  bool shows() const override { return true; }
  std::span<const float* const> show(std::span<const float> own) override;
  void gather(std::span<const float> in, size_t rows, std::span<const size_t> columns,
              std::span<float> out, int root) override;
  std::span<const std::byte> broadcast(std::span<const std::byte> message, int root) override;
  void barrier() override;

 private:
  enum class Patience { kTimeout, kForever };

  void publish();  // this rank's data of the next stage are in place
  void await(int peer, uint32_t value, const char* operation, Patience patience);
  void await_all(const char* operation);  // all have published this stage
  void await_released(uint32_t last_use, const char* operation);
  void check_peers(int peer, const char* operation, double waited_seconds);
  [[noreturn]] void lose(int peer, const std::string& why);
  void wake(RankLine& line);
  std::span<float> stage(std::span<const float> data, const char* operation);
  UnfoldedSum exchange(const ReducePlan& plan, std::span<const float> roots, size_t count);
  void reduce_in_two(const UnfoldedSum& sum, std::span<float> out);

  const std::string name_;
  const SharedRegion region_;
  const int rank_;
  const std::chrono::milliseconds timeout_;
  const bool watch_processes_;
  const int spins_;

  uint32_t stage_ = 0;  // published so far
  int which_ = 0;       // the send buffer that the next operation uses
  int which_message_ = 0;
  std::array<uint32_t, RegionLayout::kBuffers> send_use_{},
      message_use_{};  // last stage of the last use
  std::vector<const float*> roots_;
};

}  // namespace octet
