// ThreadPool: the threads of one CPU back end. Each has an equal run of an operation's tasks, which
// it does in order; who is done takes the last ones of another. Waiting threads spin for some tens
// of microseconds, then sleep. One thread calls run() and for_each(); neither allocates.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace octet::cpu {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // counts the caller's: 1 starts none
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(thread, i) for each i in [0, count), thread in [0, size()); returns when all are
  // done. REQUIRES: count < 2^32.
  template <typename Task>
  void run(int64_t count, const Task& task) {
    run_erased(count, &task, [](const void* t, int thread, int64_t i) {
      (*static_cast<const Task*>(t))(thread, i);
    });
  }

  // Calls task(i) for each i in [0, count), which go through so many values in all: few of them are
  // not worth waking anybody.
  template <typename Task>
  void for_each(int64_t count, int64_t values, const Task& task) {
    constexpr int64_t kFewValues = 4096, kPartsOfThread = 4;
    const int64_t parts =
        values < kFewValues ? 1 : std::min<int64_t>(count, kPartsOfThread * size());
    run(parts, [&](int, int64_t part) {
      for (int64_t i = count * part / parts; i < count * (part + 1) / parts; ++i) task(i);
    });
  }

 private:
  using Call = void (*)(const void* task, int thread, int64_t i);
  // Tasks [begin, end) of a thread that nobody has taken: begin in the upper half, end in the
  // lower.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
  };

  void run_erased(int64_t count, const void* task, Call call);
  void work(int thread);
  void take_tasks(int thread);

  std::vector<std::thread> workers_;
  std::vector<Share> shares_;  // [size()]
  const void* task_ = nullptr;
  Call call_ = nullptr;
  bool stop_ = false;
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> busy_{0};
};

// Processors that this process may run on.
int available_processors();

}  // namespace octet::cpu
