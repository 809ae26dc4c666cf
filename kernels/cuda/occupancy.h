// How many blocks of a kernel a device holds at once.
#pragma once

#include <cuda_runtime.h>

namespace octet::cuda {

// Of the current device. At least 1.
template <typename Kernel>
int resident_blocks(Kernel* kernel, int threads, int shared_bytes) {
  int device = 0, multiprocessors = 1, blocks = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads,
                                                static_cast<size_t>(shared_bytes));
  return multiprocessors * (blocks > 0 ? blocks : 1);
}

}  // namespace octet::cuda
