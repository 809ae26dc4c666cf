// The kernels by which ranks of one host sum and gather: each reads its peers' memory in place.
//
// Ranks meet by counters: rank r, before it reads what its peers have sent, writes an epoch into
// each peer's `arrivals` and waits until all peers' have come into its own. Block b of a rank meets
// block b of the others; all ranks queue the same operations, so the epochs agree, and since they
// are kept on the device, a replayed graph goes on counting. A rank that arrives has ended all its
// operations before this one.
//
// The calls queue on the stream. Errors: std::runtime_error where a kernel cannot be launched.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "comm/nccl/fold_plan.h"

namespace octet::peers {

inline constexpr int kMaxPeers = 8;
inline constexpr int kMaxBlocks = 64;
inline constexpr int kThreads = 256;

// What one operation needs to know of the group; pointers as this rank sees the memory.
struct Meeting {
  int rank = 0, size = 0;
  uint32_t* arrivals[kMaxPeers] = {};  // of each rank: [kMaxPeers][kMaxBlocks]
  uint32_t* epochs = nullptr;          // this rank's: [kMaxBlocks]
  const uint32_t* stop = nullptr;      // the host's word; not 0: give up
};

// All ranks' roots, in leaf order, and where the sum goes.
struct SumCall {
  FoldPlan plan;
  const float* roots[kMaxShards] = {};  // [plan.num_roots], each [count]
  int64_t count = 0;
  float* out = nullptr;  // [count]
};

// One shot: every rank adds everything itself.
void sum_at_once(const Meeting& meeting, const SumCall& call, cudaStream_t stream);

// Two shots: rank r adds part r into its own result, then all collect the parts.
struct Parts {
  float* result[kMaxPeers] = {};  // of each rank: part r of the sum
};
void sum_in_parts(const Meeting& meeting, const SumCall& call, const Parts& parts,
                  cudaStream_t stream);

// The same addition of roots that are all here already; nobody is met.
void sum_here(const SumCall& call, cudaStream_t stream);

// On rank `root`: all ranks' columns side by side. No rank goes on before root has read everything.
struct ColumnsCall {
  int root = 0;
  int64_t rows = 0;
  int64_t begin[kMaxPeers + 1] = {};     // rank r has columns [begin[r], begin[r + 1])
  const float* columns[kMaxPeers] = {};  // of each rank: [rows, begin[r + 1] - begin[r]]
  float* out = nullptr;                  // [rows, begin[size]]
};
void gather_columns(const Meeting& meeting, const ColumnsCall& call, cudaStream_t stream);

// Part `part` of `size` of `count` elements begins here; a multiple of 4.
__host__ __device__ inline int64_t part_begin(int64_t count, int size, int part) {
  const int64_t begin = (count + 3) / 4 * part / size * 4;
  return begin < count ? begin : count;
}

}  // namespace octet::peers
