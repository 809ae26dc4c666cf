#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "comm/communicator_factory.h"
#include "comm/nccl/binding.h"
#include "comm/nccl/exchange.h"
#include "comm/nccl/lone_device_communicator.h"
#include "comm/nccl/nccl_communicator.h"
#include "comm/nccl/peer_communicator.h"
#include "comm/nccl/peer_memory.h"
#include "kernels/say.h"

namespace octet {
namespace {

using namespace peers;

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::string_view(value) != "0" && *value != 0;
}

// Why the ranks cannot meet in each other's memory; "": they can. Collective.
std::string why_not_ipc(Communicator& host, const std::vector<Binding>& ranks, int device,
                        const CommOptions& options) {
  if (options.reduce == "fast") return "--reduce fast is NCCL's";
  if (!on_one_host(ranks)) return "the ranks are on several hosts";
  if (host.size() > kMaxPeers) return fmt::format("{} ranks, at most {}", host.size(), kMaxPeers);
  for (const int32_t forbids : exchange(host, int32_t{is_set("NCCL_P2P_DISABLE")})) {
    if (forbids) return "NCCL_P2P_DISABLE is set";
  }
  if (!all_reach_all(host, ranks, device)) return "not every GPU can read every other's memory";
  return "";
}

void require_nccl_everywhere(Communicator& host) {
  std::string missing;
  try {
    nccl_library();
  } catch (const std::invalid_argument& error) {
    missing = error.what();
  }
  const std::vector<int32_t> lacks = exchange(host, int32_t{!missing.empty()});
  for (size_t rank = 0; rank < lacks.size(); ++rank) {
    if (lacks[rank] == 0) continue;
    throw std::invalid_argument(
        missing.empty() ? fmt::format("rank {} has no NCCL, which these ranks need", rank)
                        : missing);
  }
}

void require_gpus_for_nccl(const std::vector<Binding>& ranks, const NcclLibrary& library) {
  const std::string shared = shared_gpu(ranks);
  const int version = library.version();
  if (shared.empty() || (version >= kNcclSharesGpus && is_set("NCCL_MULTI_RANK_GPU_ENABLE")))
    return;
  throw std::invalid_argument(fmt::format(
      "{}: NCCL needs a GPU for each rank; start as many ranks on a host as it has GPUs "
      "(this is NCCL {}; from 2.30 on NCCL_MULTI_RANK_GPU_ENABLE=1 allows it; on one host "
      "--communicator ipc does)",
      shared, nccl_version_text(version)));
}

}  // namespace

std::unique_ptr<Communicator> make_device_communicator(Communicator& host, const DeviceQueue& queue,
                                                       const CommOptions& options) {
  if (host.name() == "lone") return std::make_unique<LoneDeviceCommunicator>(host, queue, options);
  const std::vector<Binding> ranks = exchange_bindings(host, queue.device);
  const std::string why_not =
      options.kind == "nccl" ? "asked for" : why_not_ipc(host, ranks, queue.device, options);
  if (why_not.empty()) {
    if (const std::string shared = shared_gpu(ranks); host.rank() == 0 && !shared.empty()) {
      say("octet: {}; this is for tests, and slow\n", shared);
    }
    return std::make_unique<PeerCommunicator>(host, queue, options, ranks);
  }
  if (options.kind == "ipc") {
    throw std::invalid_argument(fmt::format("--communicator is \"ipc\", but {}", why_not));
  }
  require_nccl_everywhere(host);
  const NcclLibrary& library = nccl_library();
  require_gpus_for_nccl(ranks, library);
  return std::make_unique<NcclCommunicator>(host, queue, options, library);
}

}  // namespace octet
