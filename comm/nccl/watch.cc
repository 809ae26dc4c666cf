#include "comm/nccl/watch.h"

#include <fmt/format.h>

#include <utility>

#include "comm/communicator.h"

namespace octet::peers {
namespace {

constexpr std::chrono::milliseconds kLook{20};

}  // namespace

Watch::Watch(std::chrono::milliseconds timeout, Hooks hooks)
    : timeout_(timeout), hooks_(std::move(hooks)), thread_([this] { run(); }) {}

Watch::~Watch() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  ending_.notify_one();
  thread_.join();
}

void Watch::begin() {
  check();
  busy_since_ = Clock::now();
}

void Watch::end() {
  check();
  busy_since_ = Clock::time_point();
}

void Watch::check() const {
  if (lost_) throw RankLost(why_);
}

void Watch::run() {
  std::unique_lock lock(mutex_);
  while (!ending_.wait_for(lock, kLook, [this] { return ends_; })) {
    const Clock::time_point since = busy_since_;
    if (since == Clock::time_point()) continue;
    const auto waited = Clock::now() - since;
    const std::string trouble = hooks_.trouble(waited > timeout_);
    if (trouble.empty()) continue;
    why_ = fmt::format("{}; noticed after {:.1f} s in the device's queue", trouble,
                       std::chrono::duration<double>(waited).count());
    lost_ = true;
    hooks_.give_up();
    return;
  }
}

}  // namespace octet::peers
