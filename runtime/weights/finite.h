// Weights that are not finite, named by their tensor. Pure; any thread.
#pragma once

#include <string>

#include "kernels/tensor.h"
#include "runtime/weights/checkpoint.h"

namespace octet {

// The index of the first value that is not finite; -1: none, as in tensors of integers.
int64_t find_non_finite(const Tensor& values);

// Throws InputError naming file, tensor, element and value where one is not finite. `values`: the
// slice of the checkpoint's tensor `name`.
void require_finite(const Checkpoint& checkpoint, const std::string& name, const TensorSlice& slice,
                    const Tensor& values);

}  // namespace octet
