// Makes a Backend by name. The one place, with its .cc, that knows which devices this build has.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace octet {

struct BackendOptions {
  std::string device = "auto";  // "auto" | "cpu" | "reference" ("cuda" where built)
  std::string isa =
      "auto";       // cpu: "auto" | "avx2" | "avx512-vnni"; the widest that the machine has
  int threads = 0;  // cpu: 0 = as many as this process may run on
};

// Throws std::invalid_argument, naming the value and those known, for a device or instruction set
// that this build or machine lacks.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

std::vector<std::string> available_isas();  // of this machine, narrowest first

}  // namespace octet
