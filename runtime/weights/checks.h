// Checks: what must hold before the first step, looked at beside the rest of a start, on threads of
// its own. One thread calls it.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace octet {

class Checks {
 public:
  explicit Checks(int threads) : threads_(threads) {}  // with the caller's, which finish() uses
  ~Checks();                                           // drops what has not begun

  // `check` throws where it does not hold; what it borrows lives until finish() or ~Checks is over.
  void add(std::function<void()> check);

  void finish();  // returns when all have been made; throws what one of them threw

 private:
  void work(bool until_empty);
  void stop();

  int threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool stopped_ = false;
  std::exception_ptr failure_;
  std::vector<std::jthread> helpers_;
};

}  // namespace octet
