// Every rank's value on every rank, over a communicator's broadcasts; for starting up.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "comm/communicator.h"

namespace octet::peers {

// [r] is rank r's. Collective.
template <typename T>
std::vector<T> exchange(Communicator& host, const T& own) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<T> all(host.size());
  for (int rank = 0; rank < host.size(); ++rank) {
    const auto message =
        rank == host.rank() ? std::as_bytes(std::span(&own, 1)) : std::span<const std::byte>();
    std::memcpy(&all[rank], host.broadcast(message, rank).data(), sizeof(T));
  }
  return all;
}

}  // namespace octet::peers
