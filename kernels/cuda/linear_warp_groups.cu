// kWarpGroups: tiles of 128 rows and 128, 192 or 256 outputs by the warp groups' products of
// sm_90a. One warp copies spans into a ring, two warp groups of 64 rows each multiply them from
// there; a block takes one tile after the other, and its ring fills while the last tile is stored.
// The blocks of a cluster take tiles of the same outputs: each copies a part of the weights to all.
// Where rows have outliers, three more warps look for them. The high digits of their spans are
// multiplied behind the low ones, for some outputs at a time, so that both sums lie in registers.
//
// On paper (H200, 4096 multiply-adds a clock and multiprocessor), 256 outputs: a span is 512 clocks
// of products, which read 40 KiB of shared memory (320 clocks). From L2 come 24 KiB for a block by
// itself, 16 KiB for each of two. Clusters of four do not pay: 120 of 132 multiprocessors hold one.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/many_rows.cuh"
#include "kernels/cuda/occupancy.h"

namespace octet::cuda {
namespace {

constexpr int kRows = 128, kThreads = 384, kMultiplyWarps = 8;
constexpr int kScouts = 3;  // warps that look for outliers
constexpr int kMaskWords = kMaxShards * kMaxLeafSpans / 32;
constexpr int kMasksReady = 1;  // barrier of the copier and the scouts

// What follows a span in the ring.
enum class Next : int {
  kMore,
  kLeafEnds,
  kHighDigits,      // of few spans: they stay in the ring for all parts of the outputs
  kManyHighDigits,  // they come again for each part, with its weights only
};

// Outputs whose high digits are multiplied at a time: as many as registers are left for.
template <int kOutputs>
constexpr int kHighOutputs = kOutputs == 256   ? 64
                             : kOutputs == 192 ? 96
                                               : 128;

template <int kOutputs>
struct Ring {
  static constexpr int kTileABytes = kRows * kSpan, kTileBBytes = kOutputs * kSpan;
  static constexpr int kStageBytes = kTileABytes + kTileBBytes;
  static constexpr int kStages = 200 * 1024 / kStageBytes;
  static constexpr int kMasks = kStages * (kStageBytes + 2 * sizeof(uint64_t) + sizeof(Next));
  static constexpr int kBytes = kMasks + 2 * kMaskWords * sizeof(uint32_t);

  // Barrier `i` of a kind, and what follows the span in stage `i`.
  __device__ static uint64_t* full(int i) {
    return reinterpret_cast<uint64_t*>(dynamic_shared() + kStages * kStageBytes) + i;
  }
  __device__ static uint64_t* empty(int i) { return full(kStages + i); }
  __device__ static Next* next(int i) { return reinterpret_cast<Next*>(full(2 * kStages)) + i; }

  // Of this block's tiles in turn: bit s of word w is span 32 w + s.
  __device__ static uint32_t* masks(bool odd) {
    return reinterpret_cast<uint32_t*>(dynamic_shared() + kMasks) + (odd ? kMaskWords : 0);
  }

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

// What the thread that copies does: the block's own rows, and its part of the weights to all blocks
// of the cluster. They do the same steps, so where one of them has outliers, all multiply high
// digits.
template <int kOutputs, int kCluster>
class Copier {
 public:
  __device__ Copier(const LinearCall& call, const TileMap& low, const TileMap& high)
      : call_(call), low_(low), high_(high) {}

  // The whole warp calls it.
  __device__ void copy_spans(int row, int output) {
    const bool leader = threadIdx.x == 0;
    for (int leaf = 0; leaf < call_.num_leaves; ++leaf) {
      const int begin = call_.place[leaf] / kSpan, end = call_.place[leaf + 1] / kSpan;
      if (leader) {
#pragma unroll 1
        for (int span = begin; span + 1 < end; ++span) {
          copy(low_, row, output, span, Next::kMore, 0, kOutputs);
        }
      }
      if (call_.mixed && leaf == 0) {
        __syncwarp();
        sync_threads(kMasksReady, (1 + kScouts) * 32);
      }
      if (!leader || begin == end) continue;
      const uint32_t* masks = Ring<kOutputs>::masks(odd_);
      int flagged = 0;
      if (call_.mixed) {
        for (int span = begin; (span = next_flagged(masks, span, end)) < end; ++span) ++flagged;
      }
      const bool many = flagged > Ring<kOutputs>::kStages;
      copy(low_, row, output, end - 1,
           flagged == 0 ? Next::kLeafEnds
           : many       ? Next::kManyHighDigits
                        : Next::kHighDigits,
           0, kOutputs);
      const int at_once = many ? kHighOutputs<kOutputs> : kOutputs;
#pragma unroll 1
      for (int first = 0; first < kOutputs; first += at_once) {
        int span = begin;
        for (int left = flagged; left > 0; --left, ++span) {
          span = next_flagged(masks, span, end);
          copy(high_, row, output, span, left > 1 ? Next::kMore : Next::kLeafEnds, first, at_once);
        }
      }
    }
    odd_ = !odd_;
  }

 private:
  // The first of the spans [span, end) that is flagged; `end` where none is.
  static __device__ int next_flagged(const uint32_t* masks, int span, int end) {
    while (span < end) {
      const uint32_t left = masks[span / 32] >> span % 32;
      if (left != 0) return min(span + __ffs(static_cast<int>(left)) - 1, end);
      span += 32 - span % 32;
    }
    return end;
  }

  // Of the tile's outputs, `count` from `first` on.
  __device__ void copy(const TileMap& digits, int first_row, int first_output, int span, Next next,
                       int first, int count) {
    barrier_wait(ring_.empty(ring_.stage), ring_.parity ^ 1);
    uint64_t* full = ring_.full(ring_.stage);
    const int b_bytes = max(0, min(count, call_.padded_rows - first_output - first)) * kSpan;
    *ring_.next(ring_.stage) = next;
    barrier_arrive_expecting(full, Ring<kOutputs>::kTileABytes + b_bytes);
    copy_tile(ring_.a(), digits, first_row, span * kSpan, full);
    const int8_t* weight =
        call_.weight + (int64_t{span} * call_.padded_rows + first_output + first) * kSpan;
    std::byte* to = ring_.b() + first * kSpan;
    if (b_bytes == 0) {
      // Its products are not used.
    } else if constexpr (kCluster == 1) {
      copy_bulk(to, weight, b_bytes, full);
    } else {
      const int part = b_bytes / kCluster, at = Tiles<kOutputs, kCluster>::rank() * part;
      copy_bulk_to_all(kCluster, to + at, weight + at, part, full);
    }
    ring_.advance();
  }

  const LinearCall& call_;
  const TileMap &low_, &high_;
  Ring<kOutputs> ring_;
  bool odd_ = false;  // masks of the next tile
};

// sums += the spans in the ring up to the end of a pass, of the outputs from `first` on. `keep`:
// the spans stay there. Returns what follows the pass.
template <int kCluster, int kOutputs, int kSums>
__device__ __forceinline__ Next multiply(Ring<kOutputs>& ring, int group, int first, bool keep,
                                         int32_t (&sums)[kSums]) {
  Next next;
  int before = -1;
  const auto release = [&] {
    const unsigned lane = threadIdx.x % 32;
    if (keep || before < 0 || lane >= kCluster) return;
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
    const std::byte* b = ring.b() + first * kSpan;
    warp_group_fence();
#pragma unroll
    for (int k = 0; k < kSpan; k += 32) {
      warp_group_mma_s8<2 * kSums>(sums, matrix_descriptor(a + k), matrix_descriptor(b + k));
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

template <typename Use, int... kParts>
__device__ __forceinline__ void for_each(std::integer_sequence<int, kParts...>, const Use& use) {
  (use(std::integral_constant<int, kParts>()), ...);
}

template <int kOutputs, int kCluster>
__device__ __forceinline__ void multiply_tiles(const LinearCall& call,
                                               Tiles<kOutputs, kCluster> tiles) {
  constexpr int kSums = kOutputs / 2, kParts = kOutputs / kHighOutputs<kOutputs>;
  const int group = static_cast<int>(threadIdx.x) / 128 - 1;
  Ring<kOutputs> ring;
  int32_t sums[kSums];
  TileMemory<kSums> memory;
  for (int tile = tiles.first(); tile < tiles.count(); tile += tiles.step()) {
    const auto chunks = [&] {  // not held meanwhile
      const int thread = opaque(static_cast<int>(threadIdx.x) - 128), i = opaque(tile);
      return Chunks<0, 32>{
          {tiles.row(i) + thread / 32 * 16 + thread % 32 / 4, tiles.output(i) + thread % 4 * 2}};
    };
    for (int root = 0; root < call.num_roots; ++root) {
      const int first_leaf = call.first_leaf[root], end_leaf = call.first_leaf[root + 1];
      for (int leaf = first_leaf; leaf < end_leaf; ++leaf) {
        clear(sums);
        Next next = Next::kLeafEnds;
        if (call.place[leaf] < call.place[leaf + 1]) {
          next = multiply<kCluster>(ring, group, 0, false, sums);
        }
        if (next == Next::kLeafEnds) {
          leaf_values<0, kSums>(
              call, leaf, false, [&](int i) { return sums[i]; }, [](int) { return 0; }, sums,
              chunks());
        } else {
          for_each(std::make_integer_sequence<int, kParts>(), [&](auto part) {
            constexpr int kFirst = part() * (kSums / kParts), kEnd = kFirst + kSums / kParts;
            int32_t high[kSums / kParts];
            clear(high);
            const bool keep = next == Next::kHighDigits && part() + 1 < kParts;
            const Ring<kOutputs> begin = ring;
            multiply<kCluster>(ring, group, part() * kHighOutputs<kOutputs>, keep, high);
            if (keep) ring = begin;
            leaf_values<kFirst, kEnd>(
                call, leaf, true, [&](int i) { return sums[i]; },
                [&](int i) { return high[i - kFirst]; }, sums, chunks());
          });
        }
        memory.fold(leaf - first_leaf, end_leaf - first_leaf, sums);
      }
      store_root(call, root, sums, chunks());
    }
  }
}

template <int kOutputs, int kCluster>
__device__ __forceinline__ void copy_tiles(const LinearCall& call, const TileMap& low,
                                           const TileMap& high, Tiles<kOutputs, kCluster> tiles) {
  Copier<kOutputs, kCluster> copier(call, low, high);
  for (int tile = tiles.first(); tile < tiles.count(); tile += tiles.step()) {
    copier.copy_spans(tiles.row(tile), tiles.output(tile));
  }
}

// What the scouts do: they are one tile ahead of the copier at most.
template <int kOutputs, int kCluster>
__device__ __forceinline__ void find_outliers(const LinearCall& call,
                                              Tiles<kOutputs, kCluster> tiles) {
  const int warp = static_cast<int>(threadIdx.x) / 32 - 1,
            words = (call.padded_in / kSpan + 31) / 32;
  bool odd = false;
  for (int tile = tiles.first(); tile < tiles.count(); tile += tiles.step()) {
    uint32_t* masks = Ring<kOutputs>::masks(odd);
    for (int word = warp; word < words; word += kScouts) {
      const uint32_t mask =
          spans_with_outliers(call, tiles.row_of_cluster(tile), kCluster * kRows, word);
      if (threadIdx.x % 32 == 0) masks[word] = mask;
    }
    __syncwarp();
    sync_threads(kMasksReady, (1 + kScouts) * 32);
    odd = !odd;
  }
}

template <int kOutputs, int kCluster>
__global__ void __launch_bounds__(kThreads, 1)
    warp_groups_kernel(const __grid_constant__ LinearCall call, const __grid_constant__ TileMap low,
                       const __grid_constant__ TileMap high, Tiles<kOutputs, kCluster> tiles) {
  if (threadIdx.x == 0) {
    for (int i = 0; i < Ring<kOutputs>::kStages; ++i) {
      barrier_init(Ring<kOutputs>::full(i), 1);
      barrier_init(Ring<kOutputs>::empty(i), kCluster * kMultiplyWarps);
    }
    barrier_init_fence();
  }
  let_successor_start();
  wait_for_predecessor();
  if constexpr (kCluster == 1) {
    __syncthreads();
  } else {
    cluster_sync();
  }
  if (threadIdx.x >= 128) {
    take_registers<224>();
    multiply_tiles(call, tiles);
  } else {
    give_registers<56>();
    if (threadIdx.x < 32) {
      copy_tiles(call, low, high, tiles);
    } else if (call.mixed) {
      find_outliers(call, tiles);
    }
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
// clock and multiprocessor) or their bytes from L2 (some 3500 a clock on an H200). Infinite where
// half of each cluster would have no rows.
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
  return (tiles + clusters - 1) / clusters * std::max(products, blocks * bytes / 3500);
}

struct Variant {
  int outputs, cluster;
  double (*cost)(const LinearCall& call);
  void (*run)(const LinearCall& call, cudaStream_t stream);
};
template <int kOutputs, int kCluster>
constexpr Variant kVariant{kOutputs, kCluster, cost<kOutputs, kCluster>,
                           run_tiles<kOutputs, kCluster>};

constexpr Variant kVariants[] = {kVariant<256, 2>, kVariant<192, 2>, kVariant<128, 1>};

void run(const LinearCall& call, cudaStream_t stream) {
  const Variant* best = nullptr;
  double least = 0;
  for (const Variant& variant : kVariants) {
    const double cost = variant.cost(call);
    if (best != nullptr && cost >= least) continue;
    best = &variant;
    least = cost;
  }
  if (!(least < std::numeric_limits<double>::infinity())) {
    throw std::runtime_error("CUDA: this device holds no block of the products of many rows");
  }
  best->run(call, stream);
}

bool accepts(const LinearCall& call) {
  return call.padded_in > 0 && device_attribute(cudaDevAttrComputeCapabilityMajor) == 9;
}

}  // namespace

void run_warp_groups(const LinearCall& call, int outputs, int cluster, cudaStream_t stream) {
  for (const Variant& variant : kVariants) {
    if (variant.outputs == outputs && variant.cluster == cluster) variant.run(call, stream);
  }
}

const LinearKernel kWarpGroups{"warp groups", accepts, run};

}  // namespace octet::cuda
