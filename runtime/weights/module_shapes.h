// The tensors of a model, from its ModelArgs alone.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "runtime/weights/model_args.h"
#include "runtime/weights/module_names.h"

namespace octet {

// Of a module's weight, by its name here ("mlp.up_proj"); its bias is [shape[0]].
Shape module_shape(std::string_view name, const ModelArgs& args);

struct ModuleTensor {
  std::string name;  // with its layer
  Shape shape;
};

// Every weight and bias, optional biases left out; a tied head is not among them.
std::vector<ModuleTensor> module_tensors(std::span<const ModuleName> modules,
                                         const ModelArgs& args);

}  // namespace octet
