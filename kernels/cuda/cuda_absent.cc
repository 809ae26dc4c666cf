// Stands for the CUDA back end in a build without CUDA.
#include "kernels/check.h"
#include "kernels/cuda/cuda_backend.h"

namespace octet {

bool cuda_built() { return false; }
int cuda_device_count() { return 0; }

std::unique_ptr<Backend> make_cuda_backend(int device) {
  OCTET_CHECK(device < cuda_device_count(), "device {} of {}", device, cuda_device_count());
  return nullptr;
}

}  // namespace octet
