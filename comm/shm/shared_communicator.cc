#include "comm/shm/shared_communicator.h"

#include <fmt/format.h>
#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <utility>

#include "comm/columns.h"
#include "comm/shm/futex.h"
#include "comm/shm/process_watch.h"
#include "kernels/check.h"
#include "kernels/fold.h"

namespace octet {
namespace {

// Up to this many floats, and between two ranks always, each rank folds everything itself; above,
// each folds its slice and all copy: with more than two ranks fewer bytes come from peers. All
// threads of a reader add up an unfolded sum, and nobody copies: up to four ranks that is less
// work.
constexpr size_t kOneShotFloats = 16384;
constexpr int kOneShotReaders = 4;

constexpr std::chrono::milliseconds kSleep{20};  // between looks at the peers' health
constexpr int kSpins = 4000;                     // about 50 us; fewer when ranks share cores
constexpr int kYields = 200;

bool reached(uint32_t counter, uint32_t value) {
  return static_cast<int32_t>(counter - value) >= 0;
}

}  // namespace

SharedCommunicator::SharedCommunicator(std::string name, SharedRegion region, int rank,
                                       std::chrono::milliseconds timeout, bool watch_processes)
    : name_(std::move(name)),
      region_(std::move(region)),
      rank_(rank),
      timeout_(timeout),
      watch_processes_(watch_processes),
      spins_(static_cast<int>(std::thread::hardware_concurrency()) >= region_.layout().size ? kSpins
                                                                                            : 50) {
  if (watch_processes_) region_.line(rank_).pid = current_process();
}

void SharedCommunicator::wake(RankLine& line) {
  if (line.waiters.load() > 0) futex_wake_all(line.published);
}

void SharedCommunicator::publish() {
  RankLine& line = region_.line(rank_);
  line.published.store(++stage_);
  wake(line);
}

void SharedCommunicator::await(int peer, uint32_t value, const char* operation, Patience patience) {
  RankLine& line = region_.line(peer);
  std::atomic<uint32_t>& word = line.published;
  for (int i = 0; i < spins_; ++i) {
    if (reached(word.load(std::memory_order_acquire), value)) return;
    _mm_pause();
  }
  for (int i = 0; i < kYields; ++i) {
    if (reached(word.load(std::memory_order_acquire), value)) return;
    sched_yield();
  }
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    line.waiters.fetch_add(1);
    const uint32_t seen = word.load();
    if (!reached(seen, value)) futex_wait(word, seen, kSleep);
    line.waiters.fetch_sub(1);
    if (reached(word.load(), value)) return;
    const auto waited = std::chrono::steady_clock::now() - start;
    const double seconds = std::chrono::duration<double>(waited).count();
    check_peers(peer, operation, seconds);
    if (patience == Patience::kTimeout && waited > timeout_) {
      lose(peer, fmt::format("rank {}: rank {} did not answer for {:.1f} s in {}", rank_, peer,
                             seconds, operation));
    }
  }
}

void SharedCommunicator::check_peers(int awaited, const char* operation, double waited_seconds) {
  if (const uint32_t lost = region_.lost().load()) {
    throw RankLost(fmt::format("rank {}: rank {} was lost; noticed in {} after {:.1f} s", rank_,
                               lost - 1, operation, waited_seconds));
  }
  if (!watch_processes_) return;
  for (int peer = 0; peer < size(); ++peer) {
    const int32_t pid = region_.line(peer).pid.load();
    if (peer == rank_ || process_alive(pid)) continue;
    lose(peer,
         fmt::format("rank {}: rank {} (pid {}) died; noticed in {} with rank {} after {:.1f} s",
                     rank_, peer, pid, operation, awaited, waited_seconds));
  }
}

void SharedCommunicator::lose(int peer, const std::string& why) {
  uint32_t none = 0;
  region_.lost().compare_exchange_strong(none, static_cast<uint32_t>(peer) + 1);
  for (int rank = 0; rank < size(); ++rank) wake(region_.line(rank));
  throw RankLost(why);
}

void SharedCommunicator::await_all(const char* operation) {
  for (int i = 1; i < size(); ++i) {
    await((rank_ + i) % size(), stage_, operation, Patience::kTimeout);
  }
}

void SharedCommunicator::await_released(uint32_t last_use, const char* operation) {
  if (last_use == 0) return;
  for (int i = 1; i < size(); ++i) {
    await((rank_ + i) % size(), last_use + 1, operation, Patience::kTimeout);
  }
}

std::span<float> SharedCommunicator::send_buffer(size_t count) {
  OCTET_CHECK(count <= region_.layout().buffer_floats, "{} floats, room for {}", count,
              region_.layout().buffer_floats);
  await_released(send_use_[which_], "send_buffer");
  return region_.send(rank_, which_).first(count);
}

// Puts the data into the send buffer, unless they are there already, and publishes.
std::span<float> SharedCommunicator::stage(std::span<const float> data, const char* operation) {
  const size_t room = region_.layout().buffer_floats;
  OCTET_CHECK(data.size() <= room, "{}: {} floats, room for {}", operation, data.size(), room);
  const std::span<float> buffer = region_.send(rank_, which_);
  if (data.data() != buffer.data() && !data.empty()) {
    await_released(send_use_[which_], operation);
    std::copy(data.begin(), data.end(), buffer.begin());
  }
  publish();
  send_use_[which_] = stage_;
  return buffer;
}

UnfoldedSum SharedCommunicator::exchange(const ReducePlan& plan, std::span<const float> roots,
                                         size_t count) {
  OCTET_CHECK(plan.size() == size() && roots.size() == plan.num_roots(rank_) * count,
              "{} floats for {} roots of {} on {} ranks", roots.size(), plan.num_roots(rank_),
              count, size());
  stage(roots, "all_reduce_sum");
  await_all("all_reduce_sum");
  roots_.clear();
  for (int peer = 0; peer < size(); ++peer) {
    const float* data = region_.send(peer, which_).data();
    for (int i = 0; i < plan.num_roots(peer); ++i) roots_.push_back(data + i * count);
  }
  return {roots_, plan.adds()};
}

void SharedCommunicator::all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                                        std::span<float> out) {
  const UnfoldedSum sum = exchange(plan, roots, out.size());
  if (size() > 2 && out.size() > kOneShotFloats) {
    reduce_in_two(sum, out);
  } else if (!out.empty()) {
    fold(sum, 0, out.size(), out.data());
  }
  which_ = (which_ + 1) % RegionLayout::kBuffers;
}

UnfoldedSum SharedCommunicator::all_reduce_unfolded(const ReducePlan& plan,
                                                    std::span<const float> roots,
                                                    std::span<float> out, bool in_parts) {
  if (!in_parts && size() > kOneShotReaders && out.size() > kOneShotFloats) {
    all_reduce_sum(plan, roots, out);
    return {};
  }
  const UnfoldedSum sum = exchange(plan, roots, out.size());
  which_ = (which_ + 1) % RegionLayout::kBuffers;
  return sum;
}

std::span<const float* const> SharedCommunicator::show(std::span<const float> own) {
  stage(own, "show");
  await_all("show");
  roots_.clear();
  for (int peer = 0; peer < size(); ++peer) roots_.push_back(region_.send(peer, which_).data());
  which_ = (which_ + 1) % RegionLayout::kBuffers;
  return roots_;
}

void SharedCommunicator::reduce_in_two(const UnfoldedSum& sum, std::span<float> out) {
  constexpr size_t kLine = 16;  // floats of a cache line: slices do not share one
  const size_t lines = (out.size() + kLine - 1) / kLine;
  const auto cut = [&](int rank) {
    return std::min(out.size(), static_cast<size_t>(balanced_cut(lines, size(), rank)) * kLine);
  };
  const size_t begin = cut(rank_), end = cut(rank_ + 1);
  fold(sum, begin, end - begin, region_.result(rank_, which_).data());
  publish();
  send_use_[which_] = stage_;
  for (int i = 0; i < size(); ++i) {
    const int peer = (rank_ + i) % size();
    if (peer != rank_) {
      await(peer, stage_, "all_reduce_sum", Patience::kTimeout);
    }
    std::memcpy(out.data() + cut(peer), region_.result(peer, which_).data(),
                (cut(peer + 1) - cut(peer)) * sizeof(float));
  }
}

void SharedCommunicator::gather(std::span<const float> in, size_t rows,
                                std::span<const size_t> columns, std::span<float> out, int root) {
  OCTET_CHECK(columns.size() == static_cast<size_t>(size()) && in.size() == rows * columns[rank_],
              "{} floats on rank {}, {} rows, {} ranks", in.size(), rank_, rows, columns.size());
  stage(in, "gather");
  if (rank_ == root) {
    await_all("gather");
    for (int peer = 0; peer < size(); ++peer) {
      put_columns(region_.send(peer, which_).data(), rows, columns, peer, out.data());
    }
  }
  which_ = (which_ + 1) % RegionLayout::kBuffers;
}

std::span<const std::byte> SharedCommunicator::broadcast(std::span<const std::byte> message,
                                                         int root) {
  const std::span<std::byte> buffer = region_.message(root, which_message_);
  uint64_t length = message.size();
  if (rank_ == root) {
    OCTET_CHECK(length + sizeof length <= buffer.size(), "{} bytes, room for {}", length,
                buffer.size() - sizeof length);
    await_released(message_use_[which_message_], "broadcast");
    std::memcpy(buffer.data(), &length, sizeof length);
    if (length > 0) std::memcpy(buffer.data() + sizeof length, message.data(), length);
  }
  publish();
  message_use_[which_message_] = stage_;
  if (rank_ != root) {
    await(root, stage_, "broadcast", Patience::kForever);
    std::memcpy(&length, buffer.data(), sizeof length);
  }
  which_message_ = (which_message_ + 1) % RegionLayout::kBuffers;
  return buffer.subspan(sizeof length, length);
}

void SharedCommunicator::barrier() {
  publish();
  await_all("barrier");
}

}  // namespace octet
