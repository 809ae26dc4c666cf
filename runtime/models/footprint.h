// Footprint: what one rank's part of a model is and takes, from the config and the checkpoint's
// table of tensors alone: nothing is read and nothing taken. What a Decoder builds, in its order.
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/layers/weight_scope.h"

namespace octet {

enum class ProductRole { kHead, kProjection, kQkv, kAttentionOut, kMlpIn, kMlpOut };

struct Product {
  ProductRole role = ProductRole::kHead;
  int layer = -1;  // -1: outside the layers
  LinearShape shape;
};

struct Footprint {
  std::vector<Product> products;
  size_t packed = 0;   // bytes of the products on the device, all together
  size_t tensors = 0;  // of embeddings, position tables, norms and biases
  size_t staging = 0;  // the most that loading takes, on the host, beyond what is there at its end

  std::vector<LinearShape> shapes() const;
};

// Throws InputError: what loading would throw of a missing or misshapen tensor.
Footprint footprint(const ModelContext& context);

}  // namespace octet
