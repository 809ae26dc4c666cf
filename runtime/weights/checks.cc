#include "runtime/weights/checks.h"

#include <utility>

namespace octet {

Checks::~Checks() {
  {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }
  stop();
}

void Checks::add(std::function<void()> check) {
  if (helpers_.empty()) {
    for (int i = 1; i < threads_; ++i) {
      helpers_.emplace_back([this] { work(false); });
    }
  }
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(check));
  }
  changed_.notify_one();
}

void Checks::work(bool until_empty) {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return until_empty || stopped_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const std::function<void()> check = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    std::exception_ptr failure;
    try {
      check();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (!failure) continue;
    if (!failure_) failure_ = failure;
    waiting_.clear();
  }
}

void Checks::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  helpers_.clear();  // joins
  stopped_ = false;
}

void Checks::finish() {
  work(true);
  stop();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace octet
