// Operator new of the fuzz tests: no single allocation of more than 64 MiB, so a length that a file
// makes up shows.
#include <cstdlib>
#include <new>

namespace {
constexpr std::size_t kMaxAllocation = 64 << 20;
}

void* operator new(std::size_t bytes) {
  void* memory = bytes > kMaxAllocation ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return bytes > kMaxAllocation ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  void* memory =
      bytes > kMaxAllocation ? nullptr : std::aligned_alloc(align, (bytes + align) / align * align);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
