// Which rank runs on which GPU of which host.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace octet::peers {

struct Binding {
  std::array<char, 128> host{};  // the host's name and its boot
  std::array<char, 16> bus_id{};
  int32_t process = 0;
};

std::vector<Binding> exchange_bindings(Communicator& host, int device);  // collective

bool on_one_host(const std::vector<Binding>& ranks);

// "rank 0 and rank 1 share the GPU 0000:3b:00.0 of node7"; "" where each has its own.
std::string shared_gpu(const std::vector<Binding>& ranks);

}  // namespace octet::peers
