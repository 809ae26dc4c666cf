#include "comm/mpi/mpi_communicator.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "comm/columns.h"
#include "kernels/check.h"
#include "kernels/fold.h"

namespace octet {
namespace {

constexpr size_t kWholeFloats =
    16384;  // up to here each rank receives all roots and folds them itself
constexpr size_t kFirstPacket =
    4096;  // bytes of a broadcast's first part: length, then as much as fits

std::vector<int> running_sums(const std::vector<int>& counts) {
  std::vector<int> begins(counts.size());
  for (size_t i = 1; i < counts.size(); ++i) begins[i] = begins[i - 1] + counts[i - 1];
  return begins;
}

}  // namespace

MpiCommunicator::MpiCommunicator(const CommOptions& options) : options_(options) {
  MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
  MPI_Comm_rank(comm_, &rank_);
  MPI_Comm_size(comm_, &size_);
  message_.resize(std::max(options.max_message_bytes + sizeof(uint64_t), kFirstPacket));
}

// The roots that are sent, the same packed by slice, and what all ranks send of one slice or of a
// short message.
size_t MpiCommunicator::bytes(const CommOptions& options, int size) {
  const size_t short_roots = kWholeFloats * static_cast<size_t>(size);
  const size_t floats =
      2 * options.max_reduce_floats + std::max(options.max_reduce_floats, short_roots);
  return floats * sizeof(float) + options.max_message_bytes;
}

MpiCommunicator::~MpiCommunicator() { MPI_Comm_free(&comm_); }

void MpiCommunicator::complete(MPI_Request request, const char* operation, Patience patience) {
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0;; ++round) {
    int done = 0;
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done) return;
    if (round < 2000) continue;
    if (round < 4000) {
      sched_yield();
      continue;
    }
    const auto waited = std::chrono::steady_clock::now() - start;
    if (patience == Patience::kTimeout && waited > options_.timeout) {
      throw RankLost(fmt::format("rank {}: no answer for {:.1f} s in {}", rank_,
                                 std::chrono::duration<double>(waited).count(), operation));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

std::span<float> MpiCommunicator::send_buffer(size_t count) {
  OCTET_CHECK(count <= options_.max_reduce_floats, "{} floats, room for {}", count,
              options_.max_reduce_floats);
  if (send_.size() < count) send_.resize(count);
  return std::span(send_).first(count);
}

void MpiCommunicator::all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                                     std::span<float> out) {
  OCTET_CHECK(plan.size() == size_ && roots.size() == plan.num_roots(rank_) * out.size() &&
                  roots.size() <= options_.max_reduce_floats,
              "{} floats for {} roots of {} on {} ranks", roots.size(), plan.num_roots(rank_),
              out.size(), size_);
  if (out.size() > kWholeFloats) {
    exchange_slices(plan, roots, out);
  } else {
    exchange_whole(plan, roots, out);
  }
}

void MpiCommunicator::exchange_whole(const ReducePlan& plan, std::span<const float> roots,
                                     std::span<float> out) {
  std::vector<int> counts(size_);
  for (int peer = 0; peer < size_; ++peer) {
    counts[peer] = plan.num_roots(peer) * static_cast<int>(out.size());
  }
  const std::vector<int> begins = running_sums(counts);
  received_.resize(plan.num_roots() * out.size());
  MPI_Request request;
  MPI_Iallgatherv(roots.data(), static_cast<int>(roots.size()), MPI_FLOAT, received_.data(),
                  counts.data(), begins.data(), MPI_FLOAT, comm_, &request);
  complete(request, "all_reduce_sum", Patience::kTimeout);
  if (out.empty()) return;
  roots_.clear();
  for (int i = 0; i < plan.num_roots(); ++i) roots_.push_back(received_.data() + i * out.size());
  fold({roots_, plan.adds()}, 0, out.size(), out.data());
}

void MpiCommunicator::exchange_slices(const ReducePlan& plan, std::span<const float> roots,
                                      std::span<float> out) {
  const size_t count = out.size();
  const auto cut = [&](int peer) { return static_cast<size_t>(balanced_cut(count, size_, peer)); };
  const size_t own = cut(rank_ + 1) - cut(rank_);
  const int num_roots = plan.num_roots(rank_);
  std::vector<int> sent(size_), received(size_), slices(size_);
  packed_.resize(roots.size());
  float* to = packed_.data();
  for (int peer = 0; peer < size_; ++peer) {
    const size_t length = cut(peer + 1) - cut(peer);
    for (int i = 0; i < num_roots; ++i) {
      to = std::copy_n(roots.data() + i * count + cut(peer), length, to);
    }
    slices[peer] = static_cast<int>(length);
    sent[peer] = num_roots * static_cast<int>(length);
    received[peer] = plan.num_roots(peer) * static_cast<int>(own);
  }
  const std::vector<int> sent_at = running_sums(sent), received_at = running_sums(received);
  received_.resize(plan.num_roots() * own);
  MPI_Request request;
  MPI_Ialltoallv(packed_.data(), sent.data(), sent_at.data(), MPI_FLOAT, received_.data(),
                 received.data(), received_at.data(), MPI_FLOAT, comm_, &request);
  complete(request, "all_reduce_sum", Patience::kTimeout);
  roots_.clear();
  for (int i = 0; i < plan.num_roots(); ++i) roots_.push_back(received_.data() + i * own);
  packed_.resize(std::max(packed_.size(), own));
  fold({roots_, plan.adds()}, 0, own, packed_.data());
  const std::vector<int> slices_at = running_sums(slices);
  MPI_Iallgatherv(packed_.data(), static_cast<int>(own), MPI_FLOAT, out.data(), slices.data(),
                  slices_at.data(), MPI_FLOAT, comm_, &request);
  complete(request, "all_reduce_sum", Patience::kTimeout);
}

void MpiCommunicator::gather(std::span<const float> in, size_t rows,
                             std::span<const size_t> columns, std::span<float> out, int root) {
  OCTET_CHECK(columns.size() == static_cast<size_t>(size_) && in.size() == rows * columns[rank_],
              "{} floats on rank {}, {} rows, {} ranks", in.size(), rank_, rows, columns.size());
  std::vector<int> lengths;
  for (const size_t width : columns) lengths.push_back(static_cast<int>(rows * width));
  const std::vector<int> begins = running_sums(lengths);
  float* to = out.data();
  if (rank_ == root && rows > 1) {
    received_.resize(std::max(received_.size(), out.size()));
    to = received_.data();
  }
  MPI_Request request;
  MPI_Igatherv(in.data(), static_cast<int>(in.size()), MPI_FLOAT, to, lengths.data(), begins.data(),
               MPI_FLOAT, root, comm_, &request);
  complete(request, "gather", Patience::kTimeout);
  if (to == out.data()) return;
  for (int peer = 0; peer < size_; ++peer) {
    put_columns(to + begins[peer], rows, columns, peer, out.data());
  }
}

std::span<const std::byte> MpiCommunicator::broadcast(std::span<const std::byte> message,
                                                      int root) {
  uint64_t length = message.size();
  if (rank_ == root) {
    OCTET_CHECK(length <= options_.max_message_bytes, "{} bytes, room for {}", length,
                options_.max_message_bytes);
    std::memcpy(message_.data(), &length, sizeof length);
    if (length > 0) std::memcpy(message_.data() + sizeof length, message.data(), length);
  }
  MPI_Request request;
  MPI_Ibcast(message_.data(), kFirstPacket, MPI_BYTE, root, comm_, &request);
  complete(request, "broadcast", Patience::kForever);
  std::memcpy(&length, message_.data(), sizeof length);
  const size_t total = sizeof length + length;
  if (total > kFirstPacket) {
    MPI_Ibcast(message_.data() + kFirstPacket, static_cast<int>(total - kFirstPacket), MPI_BYTE,
               root, comm_, &request);
    complete(request, "broadcast", Patience::kTimeout);
  }
  return std::span(message_).subspan(sizeof length, length);
}

void MpiCommunicator::barrier() {
  MPI_Request request;
  MPI_Ibarrier(comm_, &request);
  complete(request, "barrier", Patience::kTimeout);
}

}  // namespace octet
