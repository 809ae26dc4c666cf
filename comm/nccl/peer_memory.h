// PeerMemory: a block of device memory on each rank of a host, readable by all; the peers of other
// processes are mapped by CUDA IPC, those of this process are plain pointers. Zeroed.
//
// One thread. Errors: std::runtime_error, on every rank when on one.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "comm/nccl/binding.h"

namespace octet::peers {

// Does every rank reach every other's memory? Collective.
bool all_reach_all(Communicator& host, const std::vector<Binding>& ranks, int device);

class PeerMemory {
 public:
  // Collective. REQUIRES: on_one_host(ranks); this thread's CUDA device is its rank's.
  PeerMemory(Communicator& host, const std::vector<Binding>& ranks, size_t bytes);

  std::byte* block(int rank) const { return blocks_[rank].get(); }

 private:
  std::vector<std::shared_ptr<std::byte>> blocks_;
};

}  // namespace octet::peers
