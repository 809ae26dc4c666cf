// Ranks of a device communicator as threads of this process.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "comm/communicator_factory.h"
#include "kernels/backend.h"

namespace octet::testing {

struct DeviceRank {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Communicator> communicator;
};

// Runs `body` on each rank; a rank's exception is a failure of the test. kind: "ipc" or "nccl".
void run_device_ranks(const std::string& kind, int size, const CommOptions& options,
                      const std::function<void(DeviceRank&)>& body);

}  // namespace octet::testing
