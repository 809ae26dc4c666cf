#include "tests/kernels/cuda_emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

extern "C" void cuda_emulation_switch(void** save, void* load);
extern "C" void cuda_emulation_entry();

// Keeps what a call must preserve on the stack that is left, and takes it from the one entered. A
// new stack holds the entry's address; %rbx is then the fiber, %r12 the function for it.
asm(R"(
.text
.globl cuda_emulation_switch
.type cuda_emulation_switch, @function
cuda_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_emulation_switch, .-cuda_emulation_switch
.globl cuda_emulation_entry
.type cuda_emulation_entry, @function
cuda_emulation_entry:
  movq %rbx, %rdi
  call *%r12
  ud2
.size cuda_emulation_entry, .-cuda_emulation_entry
)");

namespace cuda_emulation {
namespace {

#if defined(__SANITIZE_ADDRESS__)
void leaving(void** shadow, const void* to, size_t bytes) {
  __sanitizer_start_switch_fiber(shadow, to, bytes);
}
void arrived(void* shadow, const void** from, size_t* bytes) {
  __sanitizer_finish_switch_fiber(shadow, from, bytes);
}
#else  // __SANITIZE_ADDRESS__
void leaving(void**, const void*, size_t) {}
void arrived(void*, const void**, size_t*) {}
#endif

// With a page below it that must not be touched.
std::byte* new_stack(size_t bytes) {
  constexpr size_t kGuard = 4096;
  void* memory = mmap(nullptr, kGuard + bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuard, PROT_NONE) != 0) {
    std::perror("cuda emulation: a stack");
    std::abort();
  }
  return static_cast<std::byte*>(memory) + kGuard;
}

// Stacks that no fiber has, of all threads; kept for the process's life.
struct FreeStacks {
  std::mutex mutex;
  std::vector<std::byte*> stacks;
};
FreeStacks& free_stacks() {
  static FreeStacks* const free = new FreeStacks;  // outlives every thread's fibers
  return *free;
}

}  // namespace

Fiber::Fiber() {
  FreeStacks& free = free_stacks();
  const std::lock_guard lock(free.mutex);
  if (free.stacks.empty()) free.stacks.push_back(new_stack(kStackBytes));
  stack_ = free.stacks.back();
  free.stacks.pop_back();
}

Fiber::~Fiber() {
  FreeStacks& free = free_stacks();
  const std::lock_guard lock(free.mutex);
  free.stacks.push_back(stack_);
}

void Fiber::start(const std::function<void()>& body) {
  body_ = &body;
  ended_ = false;
  own_shadow_ = nullptr;
  auto* top = reinterpret_cast<uintptr_t*>(stack_ + kStackBytes);
  top[-3] = reinterpret_cast<uintptr_t>(&cuda_emulation_entry);
  top[-4] = 0;                                    // rbp
  top[-5] = reinterpret_cast<uintptr_t>(this);    // rbx
  top[-6] = reinterpret_cast<uintptr_t>(&enter);  // r12
  top[-7] = top[-8] = top[-9] = 0;                // r13 to r15
  own_ = top - 9;
}

void Fiber::resume() {
  leaving(&caller_shadow_, stack_, kStackBytes);
  cuda_emulation_switch(&caller_, own_);
  arrived(caller_shadow_, nullptr, nullptr);
}

void Fiber::suspend() {
  leaving(ended_ ? nullptr : &own_shadow_, caller_stack_, caller_stack_bytes_);
  cuda_emulation_switch(&own_, caller_);
  arrived(own_shadow_, &caller_stack_, &caller_stack_bytes_);
}

void Fiber::enter(Fiber* fiber) {
  arrived(nullptr, &fiber->caller_stack_, &fiber->caller_stack_bytes_);
  (*fiber->body_)();
  fiber->ended_ = true;
  fiber->suspend();
}

}  // namespace cuda_emulation
