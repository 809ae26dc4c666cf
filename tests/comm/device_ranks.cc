#include "tests/comm/device_ranks.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "comm/nccl/binding.h"
#include "comm/nccl/nccl_communicator.h"
#include "comm/nccl/peer_communicator.h"
#include "kernels/cuda/cuda_backend.h"
#include "tests/comm/nccl_under_test.h"

namespace octet::testing {
namespace {

std::unique_ptr<Communicator> make(const std::string& kind, Communicator& host,
                                   const DeviceQueue& queue, const CommOptions& options) {
  if (kind == "nccl") {
    return std::make_unique<peers::NcclCommunicator>(host, queue, options, nccl_under_test());
  }
  return std::make_unique<peers::PeerCommunicator>(host, queue, options,
                                                   peers::exchange_bindings(host, queue.device));
}

}  // namespace

void run_device_ranks(const std::string& kind, int size, const CommOptions& options,
                      const std::function<void(DeviceRank&)>& body) {
  CommOptions of_host = options;
  of_host.max_reduce_floats = 1;
  const auto hosts = make_thread_communicators(size, of_host);
  std::vector<std::string> errors(size);
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      try {
        DeviceRank rank{.backend = make_cuda_backend(0)};
        rank.communicator = make(kind, *hosts[r], rank.backend->queue(), options);
        body(rank);
      } catch (const std::exception& error) {
        errors[r] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& error : errors) EXPECT_EQ(error, "");
}

}  // namespace octet::testing
