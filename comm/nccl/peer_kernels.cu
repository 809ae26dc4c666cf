#include <algorithm>

#include "comm/nccl/peer_kernels.h"
#include "kernels/cuda/device.cuh"

namespace octet::peers {
namespace {

using cuda::dynamic_shared;
using cuda::launch;

struct alignas(16) Four {
  float x[4];
};
__device__ inline float add(float a, float b) { return a + b; }
__device__ inline Four add(const Four& a, const Four& b) {
  return {{a.x[0] + b.x[0], a.x[1] + b.x[1], a.x[2] + b.x[2], a.x[3] + b.x[3]}};
}

__device__ inline int64_t first_item() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t all_items() { return int64_t{gridDim.x} * blockDim.x; }

// A kernel lets its successor start only after its last meeting: blocks that wait for it must not
// take the place of a peer's on a device that several ranks share.

// Waits until the counter has come to the epoch. The host's word is far, and seldom looked at.
__device__ bool come(const uint32_t* counter, uint32_t epoch, const uint32_t* stop) {
  uint32_t looks = 0;
  bool came = false;
  cuda::wait_until([&] {
    came = static_cast<int32_t>(cuda::load_acquire(counter) - epoch) >= 0;
    return came || (++looks % 1024 == 0 && cuda::load_acquire(stop) != 0);
  });
  return came;
}

__device__ inline uint32_t& lost() { return *reinterpret_cast<uint32_t*>(dynamic_shared()); }

// The epoch of this block's first meeting.
__device__ uint32_t begin(const Meeting& m) {
  cuda::wait_for_predecessor();
  if (threadIdx.x == 0) lost() = 0;
  return m.epochs[blockIdx.x] + 1;
}

// Tells this block's peers that it is here, and waits for them. False: gave up.
__device__ bool meet(const Meeting& m, uint32_t epoch) {
  __syncthreads();
  const int peer = static_cast<int>(threadIdx.x);
  if (peer < m.size) {
    cuda::store_release(m.arrivals[peer] + m.rank * kMaxBlocks + blockIdx.x, epoch);
    const uint32_t* from = m.arrivals[m.rank] + peer * kMaxBlocks + blockIdx.x;
    if (!come(from, epoch, m.stop)) lost() = 1;
  }
  __syncthreads();
  return lost() == 0;
}

// The tree's value of element i, of V's width; kRoots is their number. All of v stays in registers.
template <typename V, int kRoots>
__device__ V pairwise_value(const SumCall& call, int64_t i) {
  V v[kRoots];
#pragma unroll
  for (int r = 0; r < kRoots; ++r) v[r] = reinterpret_cast<const V*>(call.roots[r])[i];
#pragma unroll
  for (int step = 1; step < kRoots; step *= 2) {
#pragma unroll
    for (int r = 0; r + step < kRoots; r += 2 * step) v[r] = add(v[r], v[r + step]);
  }
  return v[0];
}

template <typename V>
__device__ V planned_value(const SumCall& call, int64_t i) {
  V v[kMaxShards];
#pragma unroll
  for (int r = 0; r < kMaxShards; ++r) {
    v[r] = r < call.plan.num_roots ? reinterpret_cast<const V*>(call.roots[r])[i] : V{};
  }
  for (int a = 0; a + 1 < call.plan.num_roots; ++a) {
    const int target = call.plan.target[a], source = call.plan.source[a];
    V from = v[0];
#pragma unroll
    for (int r = 1; r < kMaxShards; ++r) {
      if (r == source) from = v[r];
    }
#pragma unroll
    for (int r = 0; r < kMaxShards; ++r) {
      if (r == target) v[r] = add(v[r], from);
    }
  }
  return v[0];
}

// kRoots 0: as the plan says.
template <typename V, int kRoots>
__device__ V tree_value(const SumCall& call, int64_t i) {
  if constexpr (kRoots == 0) {
    return planned_value<V>(call, i);
  } else {
    return pairwise_value<V, kRoots>(call, i);
  }
}

template <typename V, int kRoots>
__device__ void add_all(const SumCall& call) {
  const int64_t items = call.count * 4 / static_cast<int64_t>(sizeof(V));
  V* out = reinterpret_cast<V*>(call.out);
  for (int64_t i = first_item(); i < items; i += all_items()) {
    out[i] = tree_value<V, kRoots>(call, i);
  }
}

template <typename V, int kRoots>
__global__ void sum_at_once_kernel(const __grid_constant__ Meeting m,
                                   const __grid_constant__ SumCall call) {
  const uint32_t epoch = begin(m);
  if (!meet(m, epoch)) return;
  cuda::let_successor_start();
  if (threadIdx.x == 0) m.epochs[blockIdx.x] = epoch;
  add_all<V, kRoots>(call);
}

template <typename V, int kRoots>
__global__ void sum_here_kernel(const __grid_constant__ SumCall call) {
  cuda::wait_for_predecessor();
  cuda::let_successor_start();
  add_all<V, kRoots>(call);
}

template <typename V, int kRoots>
__global__ void sum_in_parts_kernel(const __grid_constant__ Meeting m,
                                    const __grid_constant__ SumCall call,
                                    const __grid_constant__ Parts parts) {
  constexpr int64_t kWidth = sizeof(V) / 4;
  const uint32_t epoch = begin(m);
  if (!meet(m, epoch)) return;
  const int64_t own = part_begin(call.count, m.size, m.rank) / kWidth;
  const int64_t own_end = part_begin(call.count, m.size, m.rank + 1) / kWidth;
  V* result = reinterpret_cast<V*>(parts.result[m.rank]);
  for (int64_t i = first_item(); i < own_end - own; i += all_items()) {
    result[i] = tree_value<V, kRoots>(call, own + i);
  }
  // What this block takes of a part, the peer's block of the same number has put there.
  if (!meet(m, epoch + 1)) return;
  cuda::let_successor_start();
  if (threadIdx.x == 0) m.epochs[blockIdx.x] = epoch + 1;
  V* out = reinterpret_cast<V*>(call.out);
  for (int other = 0; other < m.size; ++other) {
    const int peer = (m.rank + other) % m.size;  // not all at the same one
    const int64_t begin = part_begin(call.count, m.size, peer) / kWidth;
    const int64_t end = part_begin(call.count, m.size, peer + 1) / kWidth;
    const V* from = reinterpret_cast<const V*>(parts.result[peer]);
    for (int64_t i = first_item(); i < end - begin; i += all_items()) out[begin + i] = from[i];
  }
}

__global__ void gather_columns_kernel(const __grid_constant__ Meeting m,
                                      const __grid_constant__ ColumnsCall call) {
  const uint32_t epoch = begin(m);
  if (!meet(m, epoch)) return;
  const int64_t stride = call.begin[m.size];
  for (int peer = 0; m.rank == call.root && peer < m.size; ++peer) {
    const int64_t width = call.begin[peer + 1] - call.begin[peer];
    for (int64_t row = 0; row < call.rows; ++row) {
      const float* from = call.columns[peer] + row * width;
      float* to = call.out + row * stride + call.begin[peer];
      for (int64_t i = first_item(); i < width; i += all_items()) to[i] = from[i];
    }
  }
  if (!meet(m, epoch + 1)) return;
  if (threadIdx.x == 0) m.epochs[blockIdx.x] = epoch + 1;
}

unsigned blocks_for(int64_t items) {
  return static_cast<unsigned>(
      std::clamp<int64_t>((items + kThreads - 1) / kThreads, 1, kMaxBlocks));
}

template <typename Kernel, typename... Arguments>
void start(Kernel kernel, int64_t items, cudaStream_t stream, const Arguments&... arguments) {
  launch(kernel, dim3(blocks_for(items)), dim3(kThreads), sizeof(uint32_t), stream, arguments...);
}

// The kernel for these roots, of a family by their number.
template <typename Family, typename V>
auto kernel_for(const FoldPlan& plan) {
  switch (plan.pairwise ? plan.num_roots : 0) {
    case 1:
      return Family::template kernel<V, 1>();
    case 2:
      return Family::template kernel<V, 2>();
    case 4:
      return Family::template kernel<V, 4>();
    case 8:
      return Family::template kernel<V, 8>();
    default:
      return Family::template kernel<V, 0>();
  }
}
struct AtOnce {
  template <typename V, int kRoots>
  static auto kernel() {
    return sum_at_once_kernel<V, kRoots>;
  }
};
struct InParts {
  template <typename V, int kRoots>
  static auto kernel() {
    return sum_in_parts_kernel<V, kRoots>;
  }
};
struct Here {
  template <typename V, int kRoots>
  static auto kernel() {
    return sum_here_kernel<V, kRoots>;
  }
};

template <typename Family, typename... Arguments>
void start_sum(const SumCall& call, int64_t count, cudaStream_t stream,
               const Arguments&... arguments) {
  if (call.count == 0) return;
  if (call.count % 4 == 0 && reinterpret_cast<uintptr_t>(call.out) % sizeof(Four) == 0) {
    start(kernel_for<Family, Four>(call.plan), count / 4, stream, arguments...);
  } else {
    start(kernel_for<Family, float>(call.plan), count, stream, arguments...);
  }
}

}  // namespace

void sum_at_once(const Meeting& meeting, const SumCall& call, cudaStream_t stream) {
  start_sum<AtOnce>(call, call.count, stream, meeting, call);
}

void sum_in_parts(const Meeting& meeting, const SumCall& call, const Parts& parts,
                  cudaStream_t stream) {
  start_sum<InParts>(call, call.count / meeting.size, stream, meeting, call, parts);
}

void sum_here(const SumCall& call, cudaStream_t stream) {
  start_sum<Here>(call, call.count, stream, call);
}

void gather_columns(const Meeting& meeting, const ColumnsCall& call, cudaStream_t stream) {
  start(gather_columns_kernel, call.begin[meeting.size] / meeting.size, stream, meeting, call);
}

}  // namespace octet::peers
