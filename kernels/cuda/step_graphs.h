// StepGraphs: what a function queues on a stream, recorded as a CUDA graph and queued again in one
// call. One thread.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <unordered_map>

namespace octet::cuda {

class StepGraphs {
 public:
  StepGraphs() = default;
  ~StepGraphs() { clear(); }
  StepGraphs(const StepGraphs&) = delete;
  StepGraphs& operator=(const StepGraphs&) = delete;

  // The first time a key comes, `queue` just runs; the second time it is recorded; from then on the
  // record is used. Throws std::runtime_error where CUDA refuses.
  void run(uint64_t key, const std::function<void()>& queue, cudaStream_t stream);

  void clear();  // of records: the memory that they name goes

 private:
  // Each holds a node a kernel: a few MB at a hundred layers.
  static constexpr size_t kMostGraphs = 128;

  std::unordered_map<uint64_t, cudaGraphExec_t> graphs_;  // null: ran once
};

}  // namespace octet::cuda
