// The CUDA back end: one NVIDIA GPU of compute capability 8.0 or more. Operations are queued on one
// stream and return at once.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace octet {

bool cuda_built();        // false: this build has cuda_absent.cc in place of the rest
int cuda_device_count();  // 0 without a driver or a device

// REQUIRES: device < cuda_device_count(). Throws std::runtime_error where the device fails.
std::unique_ptr<Backend> make_cuda_backend(int device);

}  // namespace octet
