#include "kernels/backend_factory.h"

#include <fmt/format.h>

#include <stdexcept>

#include "kernels/reference/reference_backend.h"

namespace octet {

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  if (options.device == "reference" || options.device == "auto") return make_reference_backend();
  throw std::invalid_argument(
      fmt::format("--device is \"{}\"; this build has: reference", options.device));
}

std::vector<std::string> available_isas() { return {}; }

}  // namespace octet
