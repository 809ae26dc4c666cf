#include "kernels/cpu/host_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace octet::cpu {

Tensor allocate_host(DType dtype, Shape shape) {
  constexpr size_t kHuge = size_t{2} << 20;
  const size_t bytes = static_cast<size_t>(shape.numel()) * dtype_size(dtype);
  if (bytes < kHuge) return Tensor::host(dtype, shape);
  const size_t padded = (bytes + kHuge - 1) / kHuge * kHuge;
  // Fresh pages are zero already and cost nothing until they are used. One huge page more, to begin
  // at a multiple.
  const size_t mapped = padded + kHuge;
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const auto begin = (reinterpret_cast<uintptr_t>(memory) + kHuge - 1) / kHuge * kHuge;
  madvise(reinterpret_cast<void*>(begin), padded, MADV_HUGEPAGE);
  return Tensor({reinterpret_cast<std::byte*>(begin),
                 [memory, mapped](std::byte*) { munmap(memory, mapped); }},
                dtype, shape);
}

}  // namespace octet::cpu
