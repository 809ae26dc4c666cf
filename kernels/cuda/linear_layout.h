// LinearLayout: where a linear layer's weights lie on the device, from their shape alone.
// CudaLinear packs by it, the ledger asks it for bytes.
#pragma once

#include "kernels/cuda/linear_call.h"
#include "kernels/linear_shape.h"

namespace octet::cuda {

// The largest extents that some layers ask of LinearScratch.
struct LinearNeeds {
  int64_t padded_in = 0, leaves = 1;
  int64_t sums = 0, arrivals = 0;
};

struct LinearLayout {
  explicit LinearLayout(const LinearShape& weight);

  size_t bytes() const { return bytes_; }  // weights, scales, bias and counter, as allocated
  void add_needs(LinearNeeds& needs) const;

  bool quantized;                  // are inputs quantised?
  LinearCall call;                 // all extents; no memory
  int begin[kMaxShards + 1] = {};  // leaf l: columns [begin[l], begin[l + 1]) of the input

 private:
  size_t bytes_ = 0;
};

}  // namespace octet::cuda
