// Host memory for tensors that are streamed through: large blocks ask for huge pages.
#pragma once

#include <cstddef>

#include "kernels/tensor.h"

namespace octet::cpu {

// Zeroed, aligned to 64 bytes, or to 2 MiB when that large. Throws std::bad_alloc.
Tensor allocate_host(DType dtype, Shape shape);

// What such a tensor of `bytes` bytes takes, padding included.
size_t allocated_bytes(size_t bytes);

// Gives memory that was freed back to the system.
void trim_host_memory();

// What this process may still take: of the machine's memory, and of its control group's limit.
size_t available_host_memory();

}  // namespace octet::cpu
