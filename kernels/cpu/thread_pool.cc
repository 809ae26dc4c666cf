#include "kernels/cpu/thread_pool.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>

#include "kernels/check.h"

namespace octet::cpu {
namespace {

constexpr int kSpins = 2000;  // about 40 us
constexpr int kYields = 20;

// Spins, then yields, while done() is false; returns whether it became true.
template <typename Done>
bool spin(const Done& done) {
  for (int i = 0; i < kSpins; ++i) {
    if (done()) return true;
    _mm_pause();
  }
  for (int i = 0; i < kYields; ++i) {
    if (done()) return true;
    sched_yield();
  }
  return done();
}

}  // namespace

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

ThreadPool::ThreadPool(int threads) : shares_(threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::take_tasks(int thread) {
  constexpr uint64_t kFirst = uint64_t{1} << 32, kLast = 1;
  for (int i = 0; i < size(); ++i) {
    std::atomic<uint64_t>& left = shares_[(thread + i) % size()].left;
    const bool own = i == 0;
    uint64_t tasks = left.load();
    while (true) {
      const uint64_t begin = tasks >> 32, end = tasks & 0xFFFFFFFF;
      if (begin == end) break;
      if (!left.compare_exchange_weak(tasks, own ? tasks + kFirst : tasks - kLast)) continue;
      call_(task_, thread, static_cast<int64_t>(own ? begin : end - 1));
      tasks = left.load();
    }
  }
}

void ThreadPool::run_erased(int64_t count, const void* task, Call call) {
  if (workers_.empty() || count <= 1) {
    for (int64_t i = 0; i < count; ++i) call(task, 0, i);
    return;
  }
  OCTET_CHECK(count <= UINT32_MAX, "{} tasks", count);
  task_ = task;
  call_ = call;
  for (int64_t i = 0; i < size(); ++i) {
    const int64_t begin = count * i / size(), end = count * (i + 1) / size();
    shares_[i].left.store(static_cast<uint64_t>(begin << 32 | end));
  }
  busy_.store(static_cast<int>(workers_.size()));
  generation_.fetch_add(1);
  generation_.notify_all();
  take_tasks(0);
  while (!spin([&] { return busy_.load() == 0; })) {
  }
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  while (true) {
    if (!spin([&] { return generation_.load() != seen; })) generation_.wait(seen);
    if (generation_.load() == seen) continue;
    ++seen;
    if (stop_) return;
    take_tasks(thread);
    busy_.fetch_sub(1);
  }
}

}  // namespace octet::cpu
