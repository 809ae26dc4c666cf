#include "kernels/cuda/step_graphs.h"

#include "kernels/cuda/device_context.h"

namespace octet::cuda {
namespace {

cudaGraphExec_t record(const std::function<void()>& queue, cudaStream_t stream) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "record a step");
  cudaGraph_t graph = nullptr;
  try {
    queue();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "record a step");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "record a step");
  return executable;
}

}  // namespace

void StepGraphs::run(uint64_t key, const std::function<void()>& queue, cudaStream_t stream) {
  if (graphs_.size() >= kMostGraphs && !graphs_.contains(key)) clear();
  const auto [place, first_time] = graphs_.try_emplace(key, nullptr);
  if (first_time) {
    queue();
    return;
  }
  if (place->second == nullptr) place->second = record(queue, stream);
  check(cudaGraphLaunch(place->second, stream), "replay a step");
}

void StepGraphs::clear() {
  for (const auto& [key, graph] : graphs_) {
    if (graph != nullptr) cudaGraphExecDestroy(graph);
  }
  graphs_.clear();
}

}  // namespace octet::cuda
