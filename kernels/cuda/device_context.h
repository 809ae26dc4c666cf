// DeviceContext: one GPU, its stream and its copies. A Backend and its weights share one.
//
// Errors: a call of CUDA that fails throws std::runtime_error with CUDA's words. Threads: one
// thread drives it.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "kernels/cpu/thread_pool.h"
#include "kernels/tensor.h"

namespace octet::cuda {

void check(cudaError_t error, const char* what);  // throws where error is not cudaSuccess

int device_count();  // 0 without a driver

size_t allocated_bytes(size_t bytes);  // what allocate() of so many takes

class DeviceContext {
 public:
  explicit DeviceContext(int device);  // REQUIRES: device < device_count()
  ~DeviceContext();
  DeviceContext(const DeviceContext&) = delete;
  DeviceContext& operator=(const DeviceContext&) = delete;

  int device() const { return device_; }
  cudaStream_t stream() const { return stream_; }
  const std::string& name() const { return name_; }

  Tensor allocate(DType dtype, Shape shape) const;  // zeroed, freed with the Tensor
  size_t available_bytes() const;                   // of the device's memory, of all processes

  // Through pinned buffers, which fill while others travel: returns when `host` may be reused.
  void upload(const void* host, void* device, size_t bytes);
  void download(const void* device, void* host, size_t bytes);  // returns when `host` is filled
  void synchronize() const;

  // Device memory that rows pass through on their way to where they are packed; whoever takes it
  // uses it on the stream alone, until the next one does.
  std::byte* staging(size_t bytes);
  void release_staging() { staging_ = Tensor(); }

 private:
  struct Pinned {
    std::byte* memory = nullptr;
    cudaEvent_t free = nullptr;  // its last copy has left
  };
  void grow_pinned(size_t bytes);
  void copy_in_pieces(std::byte* to, const std::byte* from, size_t bytes);

  int device_;
  std::string name_;
  cudaStream_t stream_ = nullptr;
  std::array<Pinned, 4> pinned_;
  size_t pinned_bytes_ = 0;
  size_t next_ = 0;
  std::unique_ptr<cpu::ThreadPool> threads_;  // from the first large copy on
  Tensor staging_;
};

}  // namespace octet::cuda
