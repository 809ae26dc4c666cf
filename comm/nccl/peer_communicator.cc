#include "comm/nccl/peer_communicator.h"

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <utility>

#include "comm/shm/process_watch.h"
#include "kernels/check.h"
#include "kernels/cuda/device_context.h"

namespace octet::peers {
namespace {

// Up to here every rank adds everything itself. From published measurements on NVLink, where fewer
// ranks gain less from sharing the work; not yet measured here.
size_t at_once_floats(int size) { return size <= 2 ? size_t{1} << 20 : size <= 4 ? 131072 : 65536; }

constexpr size_t kLine = 256;  // floats
constexpr uintptr_t kAlignment = 16;
constexpr int kSends = 2, kBuffers = kSends + 1;  // and the result
constexpr size_t kArrivals = size_t{kMaxPeers} * kMaxBlocks;

size_t block_bytes(size_t buffer_floats) {
  return kBuffers * buffer_floats * sizeof(float) + (kArrivals + kMaxBlocks) * sizeof(uint32_t);
}

std::shared_ptr<uint32_t> pinned_word() {
  void* memory = nullptr;
  cuda::check(cudaMallocHost(&memory, sizeof(uint32_t)), "cudaMallocHost");
  *static_cast<uint32_t*>(memory) = 0;
  return {static_cast<uint32_t*>(memory), [](uint32_t* p) { cudaFreeHost(p); }};
}

}  // namespace

PeerCommunicator::PeerCommunicator(Communicator& host, const DeviceQueue& queue,
                                   const CommOptions& options, std::vector<Binding> ranks)
    : DeviceCommunicator(host, queue, options),
      ranks_(std::move(ranks)),
      buffer_floats_((options.max_reduce_floats + kLine - 1) / kLine * kLine),
      memory_(host, ranks_, block_bytes(buffer_floats_)),
      stop_(pinned_word()),
      meeting_{.rank = host.rank(), .size = host.size(), .stop = stop_.get()} {
  OCTET_CHECK(size() <= kMaxPeers, "{} ranks", size());
  for (int peer = 0; peer < size(); ++peer) {
    parts_.result[peer] = buffer(peer, kSends);
    meeting_.arrivals[peer] = reinterpret_cast<uint32_t*>(buffer(peer, kBuffers));
  }
  meeting_.epochs = meeting_.arrivals[rank()] + kArrivals;
  start_watch({.trouble = [this](bool late) { return trouble(late); },
               .give_up = [this] { std::atomic_ref(*stop_).store(1); }});
}

// Peers may still be reading this rank's memory.
PeerCommunicator::~PeerCommunicator() {
  if (!stop_watch() || std::uncaught_exceptions() > 0) return;
  try {
    cudaStreamSynchronize(stream_);
    host_.barrier();
  } catch (const std::exception&) {
    // They are gone, then.
  }
}

float* PeerCommunicator::buffer(int rank, int which) const {
  return reinterpret_cast<float*>(memory_.block(rank)) + which * buffer_floats_;
}

std::span<float> PeerCommunicator::send_buffer(size_t count) {
  OCTET_CHECK(count <= buffer_floats_, "{} floats, room for {}", count, buffer_floats_);
  return {buffer(rank(), which_), count};
}

void PeerCommunicator::stage(std::span<const float> data) {
  float* to = buffer(rank(), which_);
  if (data.data() == to || data.empty()) return;
  cuda::check(
      cudaMemcpyAsync(to, data.data(), data.size_bytes(), cudaMemcpyDeviceToDevice, stream_),
      "cudaMemcpyAsync");
}

void PeerCommunicator::all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                                      std::span<float> out) {
  begin_sum(plan, roots.size(), out.size());
  if (out.empty()) return;
  // All ranks must cut the sum alike, so that block b finds what the peers' block b has done.
  OCTET_CHECK(reinterpret_cast<uintptr_t>(out.data()) % kAlignment == 0, "out is not aligned");
  stage(roots);
  SumCall call{
      .plan = fold_plan(plan), .count = static_cast<int64_t>(out.size()), .out = out.data()};
  for (int peer = 0, root = 0; peer < size(); ++peer) {
    for (int i = 0; i < plan.num_roots(peer); ++i, ++root) {
      call.roots[root] = buffer(peer, which_) + i * out.size();
    }
  }
  if (out.size() <= at_once_floats(size())) {
    sum_at_once(meeting_, call, stream_);
  } else {
    sum_in_parts(meeting_, call, parts_, stream_);
  }
  which_ = (which_ + 1) % kSends;
}

void PeerCommunicator::gather(std::span<const float> in, size_t rows,
                              std::span<const size_t> columns, std::span<float> out, int root) {
  begin_gather(in.size(), rows, columns);
  stage(in);
  ColumnsCall call{.root = root, .rows = static_cast<int64_t>(rows), .out = out.data()};
  for (int peer = 0; peer < size(); ++peer) {
    call.columns[peer] = buffer(peer, which_);
    call.begin[peer + 1] = call.begin[peer] + static_cast<int64_t>(columns[peer]);
  }
  gather_columns(meeting_, call, stream_);
  which_ = 0;
}

std::string PeerCommunicator::trouble(bool late) const {
  for (size_t peer = 0; peer < ranks_.size(); ++peer) {
    if (process_alive(ranks_[peer].process)) continue;
    return fmt::format("rank {}: rank {} (pid {}) died", rank(), peer, ranks_[peer].process);
  }
  return late && !queue_is_empty() ? fmt::format("rank {}: a peer did not answer", rank()) : "";
}

}  // namespace octet::peers
