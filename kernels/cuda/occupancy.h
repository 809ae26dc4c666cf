// What the current device is, and how many blocks of a kernel it holds at once.
#pragma once

#include <cuda_runtime.h>

namespace octet::cuda {

inline int device_attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&value, which, device);
  return value;
}

// Of the current device. At least 1.
template <typename Kernel>
int resident_blocks(Kernel* kernel, int threads, int shared_bytes) {
  int blocks = 1;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads,
                                                static_cast<size_t>(shared_bytes));
  return device_attribute(cudaDevAttrMultiProcessorCount) * (blocks > 0 ? blocks : 1);
}

}  // namespace octet::cuda
