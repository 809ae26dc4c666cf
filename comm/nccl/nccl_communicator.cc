#include "comm/nccl/nccl_communicator.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include "comm/nccl/exchange.h"
#include "kernels/check.h"
#include "kernels/cuda/device_context.h"

namespace octet::peers {
namespace {

constexpr size_t kWholeFloats = 65536;  // up to here all roots go to all; not yet measured

std::shared_ptr<float> device_floats(size_t count) {
  void* memory = nullptr;
  cuda::check(cudaMalloc(&memory, count * sizeof(float)), "cudaMalloc");
  return {static_cast<float*>(memory), [](float* p) { cudaFree(p); }};
}

bool in_progress(ncclResult_t result) { return result == ncclInProgress; }

}  // namespace

NcclCommunicator::NcclCommunicator(Communicator& host, const DeviceQueue& queue,
                                   const CommOptions& options, const NcclLibrary& library)
    : DeviceCommunicator(host, queue, options),
      nccl_(library),
      send_(device_floats(options.max_reduce_floats)),
      received_(device_floats(std::max(options.max_reduce_floats, kWholeFloats * kMaxShards) +
                              size_t{4} * kMaxShards)) {
  ncclUniqueId id{};
  if (rank() == 0) call(nccl_.get_unique_id(&id), "ncclGetUniqueId");
  id = exchange(host_, id)[0];
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;  // so that a peer that never comes can be noticed
  call(nccl_.comm_init(&comm_, size(), id, rank(), &config), "ncclCommInitRankConfig");
  start_watch(
      {.trouble = [this](bool late) { return trouble(late); }, .give_up = [this] { abort(); }});
}

NcclCommunicator::~NcclCommunicator() {
  const bool well = stop_watch() && std::uncaught_exceptions() == 0;
  if (aborted_ || comm_ == nullptr) return;
  if (!well) {
    nccl_.comm_abort(comm_);
    return;
  }
  cudaStreamSynchronize(stream_);
  ncclResult_t state = nccl_.comm_finalize(comm_);
  while (in_progress(state) && nccl_.async_error(comm_, &state) == ncclSuccess) sched_yield();
  nccl_.comm_destroy(comm_);
}

void NcclCommunicator::abort() {
  if (!aborted_.exchange(true)) nccl_.comm_abort(comm_);
}

void NcclCommunicator::call(ncclResult_t result, const char* what) {
  const auto start = std::chrono::steady_clock::now();
  while (in_progress(result) && !aborted_) {
    if (std::chrono::steady_clock::now() - start > options_.timeout) {
      abort();
      throw RankLost(fmt::format("rank {}: {}: a peer did not come", rank(), what));
    }
    sched_yield();
    if (const ncclResult_t error = nccl_.async_error(comm_, &result); error != ncclSuccess) {
      result = error;
    }
  }
  require(result, what);
}

void NcclCommunicator::require(ncclResult_t result, const char* what) {
  if (result == ncclSuccess) return;
  if (comm_ != nullptr) abort();
  throw RankLost(fmt::format("rank {}: {}: {}", rank(), what, nccl_.error_string(result)));
}

std::string NcclCommunicator::trouble(bool late) const {
  ncclResult_t state = ncclSuccess;
  if (nccl_.async_error(comm_, &state) == ncclSuccess && state != ncclSuccess &&
      !in_progress(state)) {
    return fmt::format("rank {}: NCCL: {}", rank(), nccl_.error_string(state));
  }
  return late && !queue_is_empty() ? fmt::format("rank {}: a peer did not answer", rank()) : "";
}

void NcclCommunicator::send(const float* data, size_t count, int peer) {
  if (count == 0) return;
  const ncclResult_t result = nccl_.send(data, count, ncclFloat32, peer, comm_, stream_);
  if (!in_progress(result)) require(result, "ncclSend");
}

void NcclCommunicator::receive(float* data, size_t count, int peer) {
  if (count == 0) return;
  const ncclResult_t result = nccl_.recv(data, count, ncclFloat32, peer, comm_, stream_);
  if (!in_progress(result)) require(result, "ncclRecv");
}

std::span<float> NcclCommunicator::send_buffer(size_t count) {
  OCTET_CHECK(count <= options_.max_reduce_floats, "{} floats, room for {}", count,
              options_.max_reduce_floats);
  return {send_.get(), count};
}

void NcclCommunicator::all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                                      std::span<float> out) {
  begin_sum(plan, roots.size(), out.size());
  if (out.empty()) return;
  const SumCall sum{
      .plan = fold_plan(plan), .count = static_cast<int64_t>(out.size()), .out = out.data()};
  if (options_.reduce == "fast") {
    reduce_fast(roots, out);
  } else if (out.size() <= kWholeFloats) {
    exchange_whole(plan, roots, sum);
  } else {
    exchange_parts(plan, roots, sum);
  }
}

void NcclCommunicator::exchange_whole(const ReducePlan& plan, std::span<const float> roots,
                                      SumCall sum) {
  const auto count = static_cast<size_t>(sum.count);
  for (int i = 0; i < plan.num_roots(); ++i) sum.roots[i] = received_.get() + i * count;
  if (plan.max_roots_per_rank() * size() == plan.num_roots()) {
    call(nccl_.all_gather(roots.data(), received_.get(), roots.size(), ncclFloat32, comm_, stream_),
         "ncclAllGather");
  } else {
    call(nccl_.group_start(), "ncclGroupStart");
    for (int peer = 0; peer < size(); ++peer) {
      send(roots.data(), roots.size(), peer);
      receive(received_.get() + plan.first_root(peer) * count, plan.num_roots(peer) * count, peer);
    }
    call(nccl_.group_end(), "ncclGroupEnd");
  }
  sum_here(sum, stream_);
}

void NcclCommunicator::exchange_parts(const ReducePlan& plan, std::span<const float> roots,
                                      SumCall sum) {
  const int64_t count = sum.count;
  float* const out = sum.out;
  const auto begin = [&](int peer) { return part_begin(count, size(), peer); };
  const auto length = [&](int peer) { return static_cast<size_t>(begin(peer + 1) - begin(peer)); };
  call(nccl_.group_start(), "ncclGroupStart");
  for (int peer = 0; peer < size(); ++peer) {
    for (int i = 0; i < plan.num_roots(rank()); ++i) {
      send(roots.data() + i * count + begin(peer), length(peer), peer);
    }
    for (int i = plan.first_root(peer); i < plan.first_root(peer + 1); ++i) {
      receive(received_.get() + i * ((length(rank()) + 3) / 4 * 4), length(rank()), peer);
    }
  }
  call(nccl_.group_end(), "ncclGroupEnd");
  for (int i = 0; i < plan.num_roots(); ++i) {
    sum.roots[i] = received_.get() + i * ((length(rank()) + 3) / 4 * 4);
  }
  sum.count = static_cast<int64_t>(length(rank()));
  sum.out = out + begin(rank());
  sum_here(sum, stream_);
  if (count % (4 * size()) == 0) {
    call(nccl_.all_gather(sum.out, out, length(rank()), ncclFloat32, comm_, stream_),
         "ncclAllGather");
    return;
  }
  call(nccl_.group_start(), "ncclGroupStart");
  for (int peer = 0; peer < size(); ++peer) {
    if (peer == rank()) continue;
    send(sum.out, length(rank()), peer);
    receive(out + begin(peer), length(peer), peer);
  }
  call(nccl_.group_end(), "ncclGroupEnd");
}

void NcclCommunicator::reduce_fast(std::span<const float> roots, std::span<float> out) {
  const int own = static_cast<int>(roots.size() / out.size());
  const float* from = out.data();
  if (own == 0) {
    cuda::check(cudaMemsetAsync(out.data(), 0, out.size_bytes(), stream_), "cudaMemset");
  } else if (own == 1) {
    from = roots.data();
  } else {
    SumCall sum{.plan = fold_plan(ReducePlan(own, own)),
                .count = static_cast<int64_t>(out.size()),
                .out = out.data()};
    for (int i = 0; i < own; ++i) sum.roots[i] = roots.data() + i * out.size();
    sum_here(sum, stream_);
  }
  call(nccl_.all_reduce(from, out.data(), out.size(), ncclFloat32, ncclSum, comm_, stream_),
       "ncclAllReduce");
}

void NcclCommunicator::gather(std::span<const float> in, size_t rows,
                              std::span<const size_t> columns, std::span<float> out, int root) {
  begin_gather(in.size(), rows, columns);
  const size_t stride = rows == 0 ? 0 : out.size() / rows;
  size_t before = 0;
  call(nccl_.group_start(), "ncclGroupStart");
  for (int peer = 0; peer < size(); ++peer) {
    for (size_t row = 0; row < rows; ++row) {
      if (peer == rank()) send(in.data() + row * columns[peer], columns[peer], root);
      if (rank() == root) {
        receive(out.data() + row * stride + before, columns[peer], peer);
      }
    }
    before += columns[peer];
  }
  call(nccl_.group_end(), "ncclGroupEnd");
}

}  // namespace octet::peers
