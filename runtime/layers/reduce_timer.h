// ReduceTimer: adds its lifetime, in which ranks meet, to a step's reduce_seconds.
#pragma once

#include <chrono>

namespace octet {

class ReduceTimer {
 public:
  explicit ReduceTimer(double& seconds) : seconds_(seconds) {}
  ReduceTimer(const ReduceTimer&) = delete;
  ReduceTimer& operator=(const ReduceTimer&) = delete;
  ~ReduceTimer() {
    const auto end = std::chrono::steady_clock::now();
    seconds_ += std::chrono::duration<double>(end - start_).count();
  }

 private:
  double& seconds_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace octet
