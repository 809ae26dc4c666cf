// Watch: looks after a device's queue, in a thread of its own, so that ranks that wait for a peer
// which will never come are let go: also while this rank's own thread is stuck in a launch.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace octet::peers {

class Watch {
 public:
  struct Hooks {
    // Why it is in vain to wait on, or "". `late`: nothing has happened for the whole timeout.
    std::function<std::string(bool late)> trouble;
    std::function<void()> give_up;  // lets the queue run empty
  };
  Watch(std::chrono::milliseconds timeout, Hooks hooks);
  ~Watch();

  void begin();  // something was queued just now, or is waited for; throws RankLost after trouble
  void end();    // the queue has run empty; throws RankLost after trouble
  bool lost() const { return lost_.load(); }

 private:
  using Clock = std::chrono::steady_clock;
  void run();
  void check() const;

  const std::chrono::milliseconds timeout_;
  const Hooks hooks_;
  std::atomic<Clock::time_point> busy_since_{Clock::time_point()};  // the epoch: not busy
  std::atomic<bool> lost_ = false;
  std::string why_;  // written before lost_
  std::mutex mutex_;
  std::condition_variable ending_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace octet::peers
