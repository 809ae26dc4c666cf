// The kernels of an int8 linear layer, best first, the plain one last: the first that accepts a
// call serves it, and all give the same bits.
#pragma once

#include <cuda_runtime.h>

#include <span>

#include "kernels/cuda/linear_call.h"

namespace octet::cuda {

struct LinearKernel {
  const char* name;
  bool (*accepts)(const LinearCall& call);
  void (*run)(const LinearCall& call, cudaStream_t stream);
};

std::span<const LinearKernel> linear_kernels();

extern const LinearKernel kStreamed;    // 1 to 64 rows on 9.0: weights streamed from memory
extern const LinearKernel kFewRows;     // 1 to 64 rows before 9.0; calls without columns
extern const LinearKernel kWarpGroups;  // any number of rows on compute capability 9.0
extern const LinearKernel kManyRows;    // any number of rows on 8.0 and later
extern const LinearKernel kAnyRows;     // any shape; slow, and the reference of the others

// kStreamed as it is when it chooses clusters of so many blocks, 1 or 2; 1 where there are several
// leaves, or the device has no clusters.
void run_streamed(const LinearCall& call, int cluster, cudaStream_t stream);

// kWarpGroups as it is when it chooses tiles of 256 or 192 outputs and clusters of 2, or 128 and 1.
void run_warp_groups(const LinearCall& call, int outputs, int cluster, cudaStream_t stream);

// Sums and arrivals (see LinearCall) that kFewRows needs for any number of rows.
int64_t few_rows_sums(const LinearCall& shape);
int64_t few_rows_arrivals(const LinearCall& shape);

}  // namespace octet::cuda
