// kWarpGroups: tiles of 128 rows and 128, 192 or 256 outputs by the warp groups' products of
// sm_90a. One warp copies spans into a ring, two warp groups of 64 rows each multiply them from
// there; a block takes one tile after the other, and its ring fills while the last tile is stored.
// The blocks of a cluster take tiles of the same outputs: each copies a part of the weights to all.
//
// On paper (H200, 4096 multiply-adds a clock and multiprocessor), 256 outputs: a span is 512 clocks
// of products, which read 40 KiB of shared memory (320 clocks). From L2, which gives some 21 bytes
// a clock and multiprocessor, come 24 KiB (1143 clocks) for a block by itself, 16 KiB (762) for
// each of two, 12 KiB (571) for each of four.
#include <algorithm>
#include <limits>

#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/many_rows.cuh"
#include "kernels/cuda/occupancy.h"

namespace octet::cuda {
namespace {

constexpr int kRows = 128, kThreads = 384, kMultipliers = 8;  // warps that multiply

// What follows a span in the ring.
enum class Next : int { kMore, kLeafEnds, kHighDigits };

template <int kOutputs>
struct Ring {
  static constexpr int kTileABytes = kRows * kSpan, kTileBBytes = kOutputs * kSpan;
  static constexpr int kStageBytes = kTileABytes + kTileBBytes;
  static constexpr int kStages = 200 * 1024 / kStageBytes;
  static constexpr int kBytes = kStages * (kStageBytes + 2 * sizeof(uint64_t) + sizeof(Next));

  // Barrier `i` of a kind, and what follows the span in stage `i`.
  __device__ static uint64_t* full(int i) {
    return reinterpret_cast<uint64_t*>(dynamic_shared() + kStages * kStageBytes) + i;
  }
  __device__ static uint64_t* empty(int i) { return full(kStages + i); }
  __device__ static Next* next(int i) { return reinterpret_cast<Next*>(full(2 * kStages)) + i; }

  int stage = 0, parity = 0;

  __device__ std::byte* a() const { return dynamic_shared() + stage * kStageBytes; }
  __device__ std::byte* b() const { return a() + kTileABytes; }
  __device__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// What a cluster takes at once: a tile for each of its blocks, of the same outputs and neighbouring
// rows. The rows of the last blocks may lie behind the call's: they multiply zeros.
template <int kOutputs, int kCluster>
struct Tiles {
  int of_rows, of_outputs;
  explicit Tiles(const LinearCall& call)
      : of_rows((call.n + kCluster * kRows - 1) / (kCluster * kRows)),
        of_outputs((call.rows + kOutputs - 1) / kOutputs) {}

  __host__ __device__ int count() const { return of_rows * of_outputs; }
  __device__ static int rank() { return static_cast<int>(blockIdx.x % kCluster); }
  __device__ static int first() { return static_cast<int>(blockIdx.x / kCluster); }
  __device__ static int step() { return static_cast<int>(gridDim.x / kCluster); }
  __device__ int row_of_cluster(int i) const { return i % of_rows * (kCluster * kRows); }
  __device__ int row(int i) const { return row_of_cluster(i) + rank() * kRows; }
  __device__ int output(int i) const { return i / of_rows * kOutputs; }
};

// The warp that copies: the block's own rows, and its part of the weights to all blocks of the
// cluster. They do the same steps, so where one of them has outliers, all multiply high digits.
// Its lanes look for outliers together; lane 0 copies.
template <int kOutputs, int kCluster>
class Copier {
 public:
  __device__ Copier(const LinearCall& call, const TileMap& low, const TileMap& high)
      : call_(call), low_(low), high_(high) {}

  __device__ void copy_leaf(int cluster_row, int first_output, int leaf) {
    const int first_row = cluster_row + Tiles<kOutputs, kCluster>::rank() * kRows;
    const int begin = call_.place[leaf] / kSpan, end = call_.place[leaf + 1] / kSpan;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    uint32_t mine = 0;  // lane l: the spans begin + 32 l and on that have outliers
    bool any = false;
#pragma unroll 1
    for (int word = 0; begin + word * 32 < end; ++word) {
      const int from = begin + word * 32, to = min(from + 32, end);
      if (call_.mixed) {
        const uint32_t mask = spans_with_outliers(call_, cluster_row, kCluster * kRows, from, end);
        if (lane == word) mine = mask;
        any |= mask != 0;
      }
      if (lane != 0) continue;
#pragma unroll 1
      for (int span = from; span < to; ++span) {
        const Next next = span + 1 < end ? Next::kMore : any ? Next::kHighDigits : Next::kLeafEnds;
        copy(low_, first_row, first_output, span, next);
      }
    }
    if (!any) return;
    const uint32_t words = __ballot_sync(0xffffffffu, mine != 0);
    for (uint32_t words_left = words; words_left != 0; words_left &= words_left - 1) {
      const int word = __ffs(static_cast<int>(words_left)) - 1;
      uint32_t left = __shfl_sync(0xffffffffu, mine, word);
      if (lane != 0) continue;
#pragma unroll 1
      for (; left != 0; left &= left - 1) {
        const int span = begin + word * 32 + __ffs(static_cast<int>(left)) - 1;
        const bool last = (left & (left - 1)) == 0 && (words_left & (words_left - 1)) == 0;
        copy(high_, first_row, first_output, span, last ? Next::kLeafEnds : Next::kMore);
      }
    }
  }

 private:
  __device__ void copy(const TileMap& digits, int first_row, int first_output, int span,
                       Next next) {
    barrier_wait(ring_.empty(ring_.stage), ring_.parity ^ 1);
    uint64_t* full = ring_.full(ring_.stage);
    const int b_bytes = min(kOutputs, call_.padded_rows - first_output) * kSpan;
    *ring_.next(ring_.stage) = next;
    barrier_arrive_expecting(full, Ring<kOutputs>::kTileABytes + b_bytes);
    copy_tile(ring_.a(), digits, first_row, span * kSpan, full);
    const int8_t* weight =
        call_.weight + (int64_t{span} * call_.padded_rows + first_output) * kSpan;
    if constexpr (kCluster == 1) {
      copy_bulk(ring_.b(), weight, b_bytes, full);
    } else {
      const int part = b_bytes / kCluster, at = Tiles<kOutputs, kCluster>::rank() * part;
      copy_bulk_to_all(kCluster, ring_.b() + at, weight + at, part, full);
    }
    ring_.advance();
  }

  const LinearCall& call_;
  const TileMap &low_, &high_;
  Ring<kOutputs> ring_;
};

// sums += the spans in the ring up to the end of a pass. Returns what follows it.
template <int kOutputs, int kCluster>
__device__ __forceinline__ Next multiply(Ring<kOutputs>& ring, int group,
                                         int32_t (&sums)[kOutputs / 2]) {
  Next next;
  int before = -1;
  const auto release = [&] {
    const unsigned lane = threadIdx.x % 32;
    if (before < 0 || lane >= kCluster) return;
    if constexpr (kCluster == 1) {
      barrier_arrive(ring.empty(before));
    } else {
      barrier_arrive_in(lane, ring.empty(before));
    }
  };
  fence_sums(sums);
  do {
    barrier_wait(ring.full(ring.stage), ring.parity);
    next = *ring.next(ring.stage);
    const std::byte* a = ring.a() + group * 64 * kSpan;
    warp_group_fence();
#pragma unroll
    for (int k = 0; k < kSpan; k += 32) {
      warp_group_mma_s8<kOutputs>(sums, matrix_descriptor(a + k), matrix_descriptor(ring.b() + k));
    }
    commit_products();
    wait_products<1>();
    release();
    before = ring.stage;
    ring.advance();
  } while (next == Next::kMore);
  wait_products<0>();
  fence_sums(sums);
  release();
  return next;
}

template <int kOutputs, int kCluster>
__device__ __forceinline__ void multiply_tiles(const LinearCall& call,
                                               Tiles<kOutputs, kCluster> tiles) {
  constexpr int kSums = kOutputs / 2;
  const int group = static_cast<int>(threadIdx.x) / 128 - 1;
  Ring<kOutputs> ring;
  int32_t sums[kSums];
  TileMemory<kSums> memory;
  for (int tile = tiles.first(); tile < tiles.count(); tile += tiles.step()) {
    const int first_row = tiles.row(tile), first_output = tiles.output(tile);
    const auto place = [&](int chunk) {
      const int thread = opaque(static_cast<int>(threadIdx.x) - 128);  // not held meanwhile
      return ChunkPlace{first_row + thread / 32 * 16 + thread % 32 / 4,
                        first_output + chunk * 32 + thread % 4 * 2};
    };
    for (int root = 0; root < call.num_roots; ++root) {
      const int first_leaf = call.first_leaf[root], end_leaf = call.first_leaf[root + 1];
      for (int leaf = first_leaf; leaf < end_leaf; ++leaf) {
        bool with_high = false;
        for (bool more = call.place[leaf] < call.place[leaf + 1];; with_high = true) {
          clear(sums);
          if (more) more = multiply<kOutputs, kCluster>(ring, group, sums) == Next::kHighDigits;
          if (!more) break;
          memory.keep_low(sums);
        }
        leaf_values(call, leaf, with_high, memory, sums, place);
        memory.fold(leaf - first_leaf, end_leaf - first_leaf, sums);
      }
      store_root(call, root, sums, place);
    }
  }
}

template <int kOutputs, int kCluster>
__device__ __forceinline__ void copy_tiles(const LinearCall& call, const TileMap& low,
                                           const TileMap& high, Tiles<kOutputs, kCluster> tiles) {
  Copier<kOutputs, kCluster> copier(call, low, high);
  for (int tile = tiles.first(); tile < tiles.count(); tile += tiles.step()) {
    for (int leaf = 0; leaf < call.num_leaves; ++leaf) {
      copier.copy_leaf(tiles.row_of_cluster(tile), tiles.output(tile), leaf);
    }
  }
}

template <int kOutputs, int kCluster>
__global__ void __launch_bounds__(kThreads, 1)
    warp_groups_kernel(const __grid_constant__ LinearCall call, const __grid_constant__ TileMap low,
                       const __grid_constant__ TileMap high, Tiles<kOutputs, kCluster> tiles) {
  if (threadIdx.x == 0) {
    for (int i = 0; i < Ring<kOutputs>::kStages; ++i) {
      barrier_init(Ring<kOutputs>::full(i), 1);
      barrier_init(Ring<kOutputs>::empty(i), kCluster * kMultipliers);
    }
    barrier_init_fence();
  }
  let_successor_start();
  wait_for_predecessor();
  kCluster == 1 ? __syncthreads() : cluster_sync();
  if (threadIdx.x >= 128) {
    take_registers<224>();
    multiply_tiles(call, tiles);
  } else {
    give_registers<56>();
    if (threadIdx.x < 32) copy_tiles(call, low, high, tiles);
  }
  if (kCluster > 1) cluster_sync();  // no block ends while another one still reaches into it
}

template <int kOutputs, int kCluster>
int resident() {
  static const int clusters = resident_clusters(kCluster, warp_groups_kernel<kOutputs, kCluster>,
                                                dim3(kThreads), Ring<kOutputs>::kBytes);
  return clusters;
}

template <int kOutputs, int kCluster>
void run_tiles(const LinearCall& call, cudaStream_t stream) {
  const Tiles<kOutputs, kCluster> tiles(call);
  const TileMap low = map_tiles(call.low, call.n, call.padded_in, kRows);
  const TileMap high = call.mixed ? map_tiles(call.high, call.n, call.padded_in, kRows) : low;
  const int clusters = std::min(resident<kOutputs, kCluster>(), tiles.count());
  launch_clusters(kCluster, warp_groups_kernel<kOutputs, kCluster>, dim3(clusters * kCluster),
                  dim3(kThreads), Ring<kOutputs>::kBytes, stream, call, low, high, tiles);
}

// Clocks a span: whole rounds of tiles, which take as long as their products (4096 multiply-adds a
// clock and multiprocessor) or their bytes from L2 (measured on an H200: 5.2 TB/s, 2840 bytes a
// clock; a multiprocessor takes 64 at most). Infinite where half of each cluster would have no
// rows.
template <int kOutputs, int kCluster>
double cost(const LinearCall& call) {
  const int clusters = resident<kOutputs, kCluster>();
  if (clusters == 0 || (kCluster > 1 && call.n <= kCluster / 2 * kRows)) {
    return std::numeric_limits<double>::infinity();
  }
  const int tiles = Tiles<kOutputs, kCluster>(call).count();
  const int blocks = std::min(tiles, clusters) * kCluster;
  const double products = kRows * kOutputs * kSpan / 4096.0;
  const double bytes = (kRows + kOutputs / kCluster) * kSpan;
  return (tiles + clusters - 1) / clusters *
         std::max({products, blocks * bytes / 2840, (kRows + kOutputs) * kSpan / 64.0});
}

struct Variant {
  int outputs, cluster;
  double (*cost)(const LinearCall& call);
  void (*run)(const LinearCall& call, cudaStream_t stream);
};
template <int kOutputs, int kCluster>
constexpr Variant kVariant{kOutputs, kCluster, cost<kOutputs, kCluster>,
                           run_tiles<kOutputs, kCluster>};

constexpr Variant kVariants[] = {kVariant<256, 1>, kVariant<192, 1>, kVariant<128, 1>,
                                 kVariant<256, 2>, kVariant<192, 2>, kVariant<128, 2>,
                                 kVariant<256, 4>, kVariant<192, 4>, kVariant<128, 4>};
constexpr int kLargestCluster = 4;  // 1: blocks do not reach into each other

void run(const LinearCall& call, cudaStream_t stream) {
  const Variant* best = nullptr;
  double least = 0;
  for (const Variant& variant : kVariants) {
    if (variant.cluster > kLargestCluster) continue;
    const double cost = variant.cost(call);
    if (best != nullptr && cost >= least) continue;
    best = &variant;
    least = cost;
  }
  best->run(call, stream);
}

}  // namespace

void run_warp_groups(const LinearCall& call, int outputs, int cluster, cudaStream_t stream) {
  for (const Variant& variant : kVariants) {
    if (variant.outputs == outputs && variant.cluster == cluster) variant.run(call, stream);
  }
}

const LinearKernel kWarpGroups{
    "warp groups",
    [](const LinearCall&) { return device_attribute(cudaDevAttrComputeCapabilityMajor) == 9; }, run};

}  // namespace octet::cuda
