// LinearShape: a linear layer's weights before they are read: all that decides what packing them
// takes. A value.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"

namespace octet {

// The fields are those of LinearWeight.
struct LinearShape {
  DType dtype = DType::kF32;
  int64_t rows = 0, columns = 0;  // of the weight: [out, in]
  bool biased = false;
  Int8Product product = Int8Product::kW8A8;
  Activation activation = Activation::kNone;
  int num_shards = 1;
  ShardRange shards{0, 1};
  std::vector<int64_t> cuts;
  bool top = false;
  bool in_file = false;  // the weight's elements stay in a file's memory

  bool has_scales() const { return dtype == DType::kI8; }
};

LinearShape shape_of(const LinearWeight& weight);

}  // namespace octet
