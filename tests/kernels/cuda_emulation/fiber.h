// Fiber: one stack of its own and the place where it stopped. x86-64, System V.
//
// A fiber runs on the OS thread that resumes it, between resume() and the suspend() or the end of
// its function. Not thread-safe; a fiber stays with the thread that started it.
#pragma once

#include <cstddef>
#include <functional>

namespace cuda_emulation {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // `body` runs at the next resume(). REQUIRES: not started, or ended. `body` outlives the run.
  void start(const std::function<void()>& body);
  void resume();   // returns when the body suspends or ends
  void suspend();  // called by the body
  bool ended() const { return ended_; }

 private:
  static void enter(Fiber* fiber);

  static constexpr size_t kStackBytes = 256 * 1024;
  std::byte* stack_;
  void* own_ = nullptr;     // stack pointers, while the other side runs
  void* caller_ = nullptr;  //
  const std::function<void()>* body_ = nullptr;
  bool ended_ = true;
  void* own_shadow_ = nullptr;     // sanitizers' side of the two
  void* caller_shadow_ = nullptr;  //
  const void* caller_stack_ = nullptr;
  size_t caller_stack_bytes_ = 0;
};

}  // namespace cuda_emulation
