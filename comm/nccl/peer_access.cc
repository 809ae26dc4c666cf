#include "comm/nccl/peer_access.h"

#include <cuda_runtime.h>

#include <cstring>

#include "kernels/cuda/device_context.h"

namespace octet::peers {

using cuda::check;

std::string bus_id(int device) {
  char text[32] = {};
  check(cudaDeviceGetPCIBusId(text, sizeof text, device), "cudaDeviceGetPCIBusId");
  return text;
}

int device_of(const std::string& bus_id) {
  int device = -1;
  if (cudaDeviceGetByPCIBusId(&device, bus_id.c_str()) == cudaSuccess) return device;
  cudaGetLastError();
  return -1;
}

bool can_read(int device, int peer_device) {
  if (device == peer_device) return true;
  int can = 0;
  check(cudaDeviceCanAccessPeer(&can, device, peer_device), "cudaDeviceCanAccessPeer");
  return can != 0;
}

void allow_reading(int peer_device) {
  int own = -1;
  check(cudaGetDevice(&own), "cudaGetDevice");
  if (own == peer_device) return;
  const cudaError_t error = cudaDeviceEnablePeerAccess(peer_device, 0);
  if (error != cudaErrorPeerAccessAlreadyEnabled) check(error, "cudaDeviceEnablePeerAccess");
  cudaGetLastError();
}

MemoryHandle export_memory(void* memory) {
  static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(MemoryHandle));
  cudaIpcMemHandle_t handle;
  check(cudaIpcGetMemHandle(&handle, memory), "cudaIpcGetMemHandle");
  MemoryHandle bytes;
  std::memcpy(bytes.data(), &handle, bytes.size());
  return bytes;
}

void* import_memory(const MemoryHandle& bytes) {
  cudaIpcMemHandle_t handle;
  std::memcpy(&handle, bytes.data(), bytes.size());
  void* memory = nullptr;
  check(cudaIpcOpenMemHandle(&memory, handle, cudaIpcMemLazyEnablePeerAccess),
        "cudaIpcOpenMemHandle");
  return memory;
}

void close_imported(void* memory) noexcept { cudaIpcCloseMemHandle(memory); }

}  // namespace octet::peers
