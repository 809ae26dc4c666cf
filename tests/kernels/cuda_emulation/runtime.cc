#include <chrono>
#include <cstdio>
#include <deque>
#include <utility>

#include "tests/kernels/cuda_emulation/cuda_runtime.h"

namespace cuda_emulation {

struct Stream {
  Graph* capturing = nullptr;
  std::atomic<bool> working = false;
};

struct Event {
  std::chrono::steady_clock::time_point when;
};

struct Graph {
  std::deque<std::function<void()>> work;
};

namespace {

constexpr size_t kTotalBytes = size_t{8} << 30;
std::atomic<int> capability_major = 9, capability_minor = 0;

cudaError_t allocate(void** p, size_t bytes) {
  *p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*p == nullptr && bytes > 0) return cudaErrorMemoryAllocation;
  if (bytes > 0) std::memset(*p, 0xA5, bytes);
  return cudaSuccess;
}

cudaError_t release(void* p) {
  std::free(p);
  return cudaSuccess;
}

}  // namespace

void set_compute_capability(int major, int minor) {
  capability_major = major;
  capability_minor = minor;
}

void enqueue(Stream* stream, std::function<void()> work) {
  if (stream == nullptr) {
    work();
  } else if (stream->capturing != nullptr) {
    stream->capturing->work.push_back(std::move(work));
  } else {
    stream->working = true;
    work();
    stream->working = false;
  }
}

}  // namespace cuda_emulation

using cuda_emulation::enqueue;

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess                 ? "no error"
         : error == cudaErrorMemoryAllocation ? "out of memory"
         : error == cudaErrorInvalidValue     ? "invalid argument"
                                              : "an error";
}
const char* cudaGetErrorName(cudaError_t error) { return cudaGetErrorString(error); }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidValue; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  const int major = cuda_emulation::capability_major, minor = cuda_emulation::capability_minor;
  const size_t kib = major > 8 ? 227 : minor == 0 ? 163 : 99;
  *properties = {.name = "emulation",
                 .totalGlobalMem = cuda_emulation::kTotalBytes,
                 .major = major,
                 .minor = minor,
                 .multiProcessorCount = 4,
                 .sharedMemPerBlockOptin = kib * 1024,
                 .l2CacheSize = 50 << 20};
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  cudaDeviceProp properties;
  cudaGetDeviceProperties(&properties, 0);
  *value = attribute == cudaDevAttrMultiProcessorCount      ? properties.multiProcessorCount
           : attribute == cudaDevAttrComputeCapabilityMajor ? properties.major
           : attribute == cudaDevAttrComputeCapabilityMinor
               ? properties.minor
               : static_cast<int>(properties.sharedMemPerBlockOptin);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = cuda_emulation::kTotalBytes;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }

cudaError_t cudaMalloc(void** p, size_t bytes) { return cuda_emulation::allocate(p, bytes); }
cudaError_t cudaFree(void* p) { return cuda_emulation::release(p); }
cudaError_t cudaMallocHost(void** p, size_t bytes) { return cuda_emulation::allocate(p, bytes); }
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  return cuda_emulation::allocate(p, bytes);
}
cudaError_t cudaFreeHost(void* p) { return cuda_emulation::release(p); }

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  if (bytes > 0) std::memmove(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  enqueue(stream, [=] { cudaMemcpy(to, from, bytes, kind); });
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  enqueue(stream, [=] {
    for (size_t row = 0; row < height; ++row) {
      cudaMemcpy(static_cast<char*>(to) + row * to_pitch,
                 static_cast<const char*>(from) + row * from_pitch, width, kind);
    }
  });
  return cudaSuccess;
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return cudaMemsetAsync(to, value, bytes, nullptr);
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  enqueue(stream, [=] {
    if (bytes > 0) std::memset(to, value, bytes);
  });
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new cuda_emulation::Stream;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return cudaStreamCreate(stream);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
// Of interest to other threads than the one whose work it is.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return stream != nullptr && stream->working ? cudaErrorNotReady : cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* argument) {
  enqueue(stream, [=] { function(argument); });
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new cuda_emulation::Event;
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return cudaEventCreate(event);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  enqueue(stream, [=] { event->when = std::chrono::steady_clock::now(); });
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->when - begin->when).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (stream == nullptr || stream->capturing != nullptr) return cudaErrorInvalidValue;
  stream->capturing = new cuda_emulation::Graph;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (stream == nullptr || stream->capturing == nullptr) return cudaErrorInvalidValue;
  *graph = std::exchange(stream->capturing, nullptr);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new cuda_emulation::Graph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  for (const auto& work : executable->work) enqueue(stream, work);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return cudaGraphDestroy(executable);
}
