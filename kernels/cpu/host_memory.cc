#include "kernels/cpu/host_memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace octet::cpu {

Tensor allocate_host(DType dtype, Shape shape) {
  constexpr size_t kHuge = size_t{2} << 20;
  const size_t bytes = static_cast<size_t>(shape.numel()) * dtype_size(dtype);
  if (bytes < kHuge) return Tensor::host(dtype, shape);
  const size_t padded = (bytes + kHuge - 1) / kHuge * kHuge;
  void* memory = std::aligned_alloc(kHuge, padded);
  if (memory == nullptr) throw std::bad_alloc();
  madvise(memory, padded, MADV_HUGEPAGE);
  std::memset(memory, 0, padded);
  return Tensor(std::shared_ptr<std::byte>(static_cast<std::byte*>(memory), std::free), dtype,
                shape);
}

}  // namespace octet::cpu
