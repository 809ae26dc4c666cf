// Host memory for tensors that are streamed through: large blocks ask for huge pages.
#pragma once

#include "kernels/tensor.h"

namespace octet::cpu {

// Zeroed, aligned to 64 bytes, or to 2 MiB when that large. Throws std::bad_alloc.
Tensor allocate_host(DType dtype, Shape shape);

}  // namespace octet::cpu
