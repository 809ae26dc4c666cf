#include "kernels/backend_factory.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/reference/reference_backend.h"

namespace octet {

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const bool reference = options.device == "reference";
  const bool cuda = options.device == "cuda" && cuda_built();
  if (!reference && !cuda && options.device != "auto" && options.device != "cpu") {
    throw std::invalid_argument(
        fmt::format("--device is \"{}\"; this build has auto, cpu, {}reference", options.device,
                    cuda_built() ? "cuda, " : ""));
  }
  if ((reference || cuda) && options.isa != "auto") {
    throw std::invalid_argument(fmt::format("--isa is \"{}\"; --device \"{}\" has auto alone",
                                            options.isa, options.device));
  }
  if (reference) return make_reference_backend();
  if (cuda) {
    if (!cuda_available()) {
      throw std::invalid_argument("--device is \"cuda\"; this machine has no CUDA device");
    }
    return make_cuda_backend(options.local_rank % cuda_device_count());
  }
  for (const cpu::KernelTable* kernels : cpu_kernel_tables()) {
    if (kernels->supported() && (options.isa == "auto" || options.isa == kernels->name)) {
      return make_cpu_backend(*kernels, options.threads);
    }
  }
  std::vector<std::string> known{"auto"};
  for (const cpu::KernelTable* kernels : cpu_kernel_tables()) known.emplace_back(kernels->name);
  throw std::invalid_argument(fmt::format("--isa is \"{}\", must be one of {}; this machine has {}",
                                          options.isa, fmt::join(known, ", "),
                                          fmt::join(available_isas(), ", ")));
}

int devices_with_memory(const std::string& device) {
  return device == "cuda" ? cuda_device_count() : 0;
}

bool cuda_available() { return cuda_device_count() > 0; }

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const cpu::KernelTable* kernels : cpu_kernel_tables()) {
    if (kernels->supported()) names.insert(names.begin(), kernels->name);
  }
  return names;
}

}  // namespace octet
