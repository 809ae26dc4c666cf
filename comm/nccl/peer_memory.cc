#include "comm/nccl/peer_memory.h"

#include <cuda_runtime.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "comm/nccl/exchange.h"
#include "comm/nccl/peer_access.h"
#include "kernels/cuda/device_context.h"

namespace octet::peers {
namespace {

struct Offer {
  std::byte* pointer = nullptr;  // for ranks of the same process
  MemoryHandle handle{};         // for the others
};

// Every rank comes through here, so that one's failure is not the others' hang.
void all_well(Communicator& host, const std::string& failure) {
  const std::vector<int32_t> failed = exchange(host, int32_t{!failure.empty()});
  const auto first = std::ranges::find(failed, 1);
  if (first == failed.end()) return;
  throw std::runtime_error(fmt::format("memory shared by the ranks' GPUs: rank {}: {}",
                                       first - failed.begin(),
                                       failure.empty() ? "see its own message" : failure));
}

}  // namespace

bool all_reach_all(Communicator& host, const std::vector<Binding>& ranks, int device) {
  const bool own = std::ranges::all_of(ranks, [&](const Binding& peer) {
    const int peer_device = device_of(peer.bus_id.data());
    return peer_device >= 0 && can_read(device, peer_device);
  });
  return std::ranges::all_of(exchange(host, int32_t{own}), [](int32_t reaches) { return reaches; });
}

PeerMemory::PeerMemory(Communicator& host, const std::vector<Binding>& ranks, size_t bytes)
    : blocks_(ranks.size()) {
  const int own = host.rank();
  const bool one_process = std::ranges::all_of(
      ranks, [&](const Binding& peer) { return peer.process == ranks[own].process; });
  std::string failure;
  Offer offer;
  try {
    void* memory = nullptr;
    cuda::check(cudaMalloc(&memory, bytes), "cudaMalloc");
    blocks_[own].reset(static_cast<std::byte*>(memory), [](std::byte* p) { cudaFree(p); });
    cuda::check(cudaMemset(memory, 0, bytes), "cudaMemset");
    cuda::check(cudaDeviceSynchronize(), "cudaMemset");
    offer.pointer = blocks_[own].get();
    if (!one_process) offer.handle = export_memory(memory);
  } catch (const std::exception& error) {
    failure = error.what();
  }
  all_well(host, failure);
  const std::vector<Offer> offers = exchange(host, offer);
  try {
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      if (static_cast<int>(rank) == own) continue;
      if (ranks[rank].process == ranks[own].process) {
        allow_reading(device_of(ranks[rank].bus_id.data()));
        blocks_[rank] = {offers[rank].pointer, [](std::byte*) {}};
      } else {
        blocks_[rank].reset(static_cast<std::byte*>(import_memory(offers[rank].handle)),
                            [](std::byte* p) { close_imported(p); });
      }
    }
  } catch (const std::exception& error) {
    failure = error.what();
  }
  all_well(host, failure);
}

}  // namespace octet::peers
