#include "comm/nccl/binding.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "comm/nccl/exchange.h"
#include "comm/nccl/peer_access.h"

namespace octet::peers {
namespace {

template <size_t kSize>
void put(const std::string& text, std::array<char, kSize>& to) {
  std::copy_n(text.begin(), std::min(text.size(), kSize - 1), to.begin());
}

std::string host_name(const Binding& rank) {
  const std::string host = rank.host.data();
  return host.substr(0, host.find(' '));
}

}  // namespace

std::vector<Binding> exchange_bindings(Communicator& host, int device) {
  std::array<char, 64> name{};
  gethostname(name.data(), name.size() - 1);
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id") >> std::ws, boot);
  Binding own{.process = getpid()};
  put(fmt::format("{} {}", name.data(), boot), own.host);
  put(bus_id(device), own.bus_id);
  return exchange(host, own);
}

bool on_one_host(const std::vector<Binding>& ranks) {
  return std::ranges::all_of(ranks, [&](const Binding& r) { return r.host == ranks[0].host; });
}

std::string shared_gpu(const std::vector<Binding>& ranks) {
  for (size_t a = 0; a < ranks.size(); ++a) {
    for (size_t b = a + 1; b < ranks.size(); ++b) {
      if (ranks[a].host == ranks[b].host && ranks[a].bus_id == ranks[b].bus_id) {
        return fmt::format("rank {} and rank {} share the GPU {} of {}", a, b,
                           ranks[a].bus_id.data(), host_name(ranks[a]));
      }
    }
  }
  return "";
}

}  // namespace octet::peers
