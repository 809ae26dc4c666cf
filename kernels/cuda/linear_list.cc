#include <array>

#include "kernels/cuda/linear_kernels.h"

namespace octet::cuda {

std::span<const LinearKernel> linear_kernels() {
  static const std::array kernels{kStreamed, kFewRows, kWarpGroups, kManyRows, kAnyRows};
  return kernels;
}

}  // namespace octet::cuda
