// Makes a Backend by name. The one place, with its .cc, that knows which devices this build has.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace octet {

struct BackendOptions {
  std::string device = "auto";  // "auto" | "cpu" | "reference" | "cuda" where built
  std::string isa =
      "auto";  // cpu: "auto" | "avx2" | "avx512-vnni" | "amx-int8"; the best that the machine has
  int threads = 0;     // cpu: 0 = as many as this process may run on
  int local_rank = 0;  // cuda: of this process on its host; takes the device of that number, modulo
                       // how many there are
};

// Throws std::invalid_argument, naming the value and those known, for a device or instruction set
// that this build or machine lacks.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

// How many such devices with memory of their own this host has; 0: the device is the host.
int devices_with_memory(const std::string& device);

bool cuda_available();                      // built in, and a device is there
std::vector<std::string> available_isas();  // of this machine, narrowest first

}  // namespace octet
