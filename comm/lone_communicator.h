// LoneCommunicator: a group of one rank; or rank 0 of a larger one whose other ranks are not there,
// as if each of them sent zeros. Then the answers mean nothing; the work (but for norms, here
// of all rows) and the memory are rank 0's, so that one device can be measured for a group that is
// not at hand. One thread.
#pragma once

#include <vector>

#include "comm/communicator.h"

namespace octet {

class LoneCommunicator : public Communicator {
 public:
  LoneCommunicator(int size, size_t max_reduce_floats) : size_(size), buffer_(max_reduce_floats) {}

  std::string name() const override { return size_ == 1 ? "local" : "lone"; }
  int rank() const override { return 0; }
  int size() const override { return size_; }
  std::span<float> send_buffer(size_t count) override;
  void all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                      std::span<float> out) override;
  void gather(std::span<const float> in, size_t rows, std::span<const size_t> columns,
              std::span<float> out, int root) override;
  std::span<const std::byte> broadcast(std::span<const std::byte> message, int root) override;
  void barrier() override {}

 private:
  int size_;
  std::vector<float> buffer_;
};

}  // namespace octet
