#include "kernels/cuda/linear_kernels.h"

namespace octet::cuda {

const LinearKernel& linear_kernel(const LinearCall& call) {
  for (const LinearKernel* kernel : {&kStreamed, &kFewRows, &kWarpGroups, &kManyRows}) {
    if (kernel->accepts(call)) return *kernel;
  }
  return kAnyRows;
}

}  // namespace octet::cuda
