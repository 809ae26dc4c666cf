// add_norm: one block of threads a row at a time.
#include <algorithm>

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/occupancy.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/quantize.cuh"

namespace octet::cuda {
namespace {

__device__ Four sum(const Four& a, const Four& b) {
  Four c;
#pragma unroll
  for (int j = 0; j < 4; ++j) c.x[j] = a.x[j] + b.x[j];
  return c;
}

__device__ float total(const Four& a) { return (a.x[0] + a.x[1]) + (a.x[2] + a.x[3]); }

// Weights and biases, which no kernel writes, come to L2 while the kernel in front ends.
constexpr int kFewRows = 64;
constexpr int kLine = 128 / sizeof(float);

__device__ void prefetch_row(const float* row, int n) {
  if (row == nullptr || gridDim.x > kFewRows) return;
  for (int k = static_cast<int>(threadIdx.x) * kLine; k < n; k += blockDim.x * kLine) {
    prefetch_line(row + k);
  }
}

// The sum of a row's residual and its delta (or null) to `to`, the row normalised to `held`. Calls
// loaded() when both have been read.
template <int kGroups, typename Loaded>
__device__ void normalise_row(const NormCall& call, const float* residual, const float* delta,
                              float* to, const Loaded& loaded, HeldRow<kGroups>& held) {
  __shared__ float sums[kReduceSlots], sums_of_squares[kReduceSlots];
  const int h = call.h;
  const float* delta_bias = delta == nullptr ? nullptr : call.delta_bias;
  use_rows<kGroups>(
      h,
      [&](int i, const Four& old, const Four& more, const Four& bias) {
        held.x[i] = sum(old, sum(more, bias));
      },
      residual, delta, delta_bias);
  loaded();
  if (delta != nullptr) store_row(to, h, held);
  if (call.weight == nullptr) return;
  const float count = static_cast<float>(h);
  if (call.kind == NormKind::kLayer) {
    Four totals{};
#pragma unroll
    for (int i = 0; i < kGroups; ++i) totals = sum(totals, held.x[i]);
    const float mean = block_sum(total(totals), sums) / count;
#pragma unroll
    for (int i = 0; i < kGroups; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (4 * held.group(i) + j < h) held.x[i].x[j] -= mean;
      }
    }
  }
  Four squares{};
#pragma unroll
  for (int i = 0; i < kGroups; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      squares.x[j] = fmaf(held.x[i].x[j], held.x[i].x[j], squares.x[j]);
    }
  }
  const float inverse = 1.0f / sqrtf(block_sum(total(squares), sums_of_squares) / count + call.eps);
  use_rows<kGroups>(
      h,
      [&](int i, const Four& scale, const Four& shift) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          held.x[i].x[j] = held.x[i].x[j] * inverse * scale.x[j] + shift.x[j];
        }
      },
      call.weight, call.bias);
}

// The block's row. Waits for the kernel in front.
template <int kGroups>
__device__ void normalise_row(const NormCall& call, HeldRow<kGroups>& held) {
  prefetch_row(call.weight, call.h);
  prefetch_row(call.bias, call.h);
  wait_for_predecessor();
  const int64_t at = int64_t{blockIdx.x} * call.h;
  float* residual = call.residual + at;
  normalise_row(
      call, residual, call.delta == nullptr ? nullptr : call.delta + at, residual, [] {}, held);
}

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, kGroups < 8 ? kLeastBlocks<kGroups> : 1)
    norm_kernel(NormCall call) {
  let_successor_start();
  HeldRow<kGroups> held;
  normalise_row(call, held);
  if (call.weight != nullptr) store_row(call.out + int64_t{blockIdx.x} * call.h, call.h, held);
}

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, kLeastBlocks<kGroups>)
    norm_quantize_kernel(NormCall norm, QuantizeCall rows) {
  let_successor_start();
  HeldRow<kGroups> held;
  normalise_row(norm, held);
  quantize_slice(rows, blockIdx.x, 0, held);
}

// Many wide rows: a block a multiprocessor takes one row after the other. Weights and biases lie in
// shared memory, or L2 would carry them for every row; the copy engine brings a row while the one
// before is normalised.
template <int kGroups>
constexpr bool kStreams = kGroups == 4 || kGroups == 8;  // wide, but four rows fit shared memory
template <int kGroups>
class RowStream {
 public:
  static constexpr int kPiece = 4;  // of quantize_slice: what shared memory is left for
  static_assert(16 * kMostColumns<kGroups> + kPiece * kMostThreads<kGroups> * sizeof(Four) + 2048 <=
                227 * 1024);
  static bool takes(const NormCall& call) {
    return call.delta != nullptr && call.weight != nullptr && in_fours(call.residual, call.h) &&
           in_fours(call.delta, call.h) && in_fours(call.weight, call.h) &&
           in_fours(call.bias, call.h) &&
           device_attribute(cudaDevAttrComputeCapabilityMajor) == 9 &&
           call.n > kFewRounds * blocks();
  }
  static int blocks() { return device_attribute(cudaDevAttrMultiProcessorCount); }
  static size_t shared_bytes(const NormCall& call, bool mixed, unsigned threads) {
    return quantize_shared_bytes<kGroups, kPiece>(mixed, threads) + size_t{4} * row_bytes(call) +
           sizeof(uint64_t);
  }

  // `front`: what quantize_slice takes of the dynamic shared memory.
  __device__ RowStream(const NormCall& call, size_t front)
      : call_(call), rows_(dynamic_shared() + front) {}

  // Calls use(row, held) with each row of the block, normalised. All of the block.
  template <typename Use>
  __device__ void run(const Use& use) {
    const bool leader = threadIdx.x == 0;
    if (leader) {
      barrier_init(barrier(), 1);
      barrier_init_fence();
    }
    __syncthreads();
    if (leader) {
      const bool shifts = call_.bias != nullptr;
      barrier_arrive_expecting(barrier(), (shifts ? 2 : 1) * row_bytes(call_));
      copy_bulk(place(kWeights), call_.weight, row_bytes(call_), barrier());
      if (shifts) copy_bulk(place(kBiases), call_.bias, row_bytes(call_), barrier());
    }
    barrier_wait(barrier(), 0);
    __syncthreads();  // nobody waits for that phase any more
    wait_for_predecessor();
    if (leader) load(blockIdx.x);
    NormCall here = call_;
    here.weight = place(kWeights);
    if (here.bias != nullptr) here.bias = place(kBiases);
    int parity = 1;
    for (int row = blockIdx.x; row < call_.n; row += gridDim.x, parity ^= 1) {
      barrier_wait(barrier(), parity);
      HeldRow<kGroups> held;
      normalise_row(
          here, place(kResidual), place(kDelta), call_.residual + int64_t{row} * call_.h,
          [&] {
            __syncthreads();
            const int next = row + static_cast<int>(gridDim.x);
            if (leader && next < call_.n) load(next);
          },
          held);
      use(row, held);
    }
  }

 private:
  static constexpr int kFewRounds = 2;
  enum Place { kWeights, kBiases, kResidual, kDelta };

  __host__ __device__ static int row_bytes(const NormCall& call) {
    return call.h * static_cast<int>(sizeof(float));
  }
  __device__ float* place(Place which) const {
    return reinterpret_cast<float*>(rows_ + which * row_bytes(call_));
  }
  __device__ uint64_t* barrier() const {
    return reinterpret_cast<uint64_t*>(rows_ + 4 * row_bytes(call_));
  }
  __device__ void load(int row) const {
    const int64_t at = int64_t{row} * call_.h;
    barrier_arrive_expecting(barrier(), 2 * row_bytes(call_));
    copy_bulk(place(kResidual), call_.residual + at, row_bytes(call_), barrier());
    copy_bulk(place(kDelta), call_.delta + at, row_bytes(call_), barrier());
  }

  const NormCall& call_;
  std::byte* rows_;
};

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, 1) norm_stream_kernel(NormCall call) {
  let_successor_start();
  RowStream<kGroups>(call, 0).run([&](int row, const HeldRow<kGroups>& held) {
    store_row(call.out + int64_t{row} * call.h, call.h, held);
  });
}

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, 1)
    norm_quantize_stream_kernel(NormCall norm, QuantizeCall rows) {
  using Stream = RowStream<kGroups>;
  let_successor_start();
  const size_t front = quantize_shared_bytes<kGroups, Stream::kPiece>(rows.mixed, blockDim.x);
  Stream(norm, front).run([&](int row, const HeldRow<kGroups>& held) {
    quantize_slice<kGroups, Stream::kPiece>(rows, row, 0, held);
  });
}

}  // namespace

void add_norm(const NormCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.h == 0) return;
  hold_rows<kWidestNorm>(call.h, [&](auto groups, unsigned threads) {
    if constexpr (kStreams<groups()>) {
      using Stream = RowStream<groups()>;
      if (Stream::takes(call)) {
        return launch(norm_stream_kernel<groups()>, dim3(Stream::blocks()), dim3(threads),
                      Stream::shared_bytes(call, false, threads), stream, call);
      }
    }
    launch(norm_kernel<groups()>, dim3(call.n), dim3(threads), 0, stream, call);
  });
}

void add_norm_quantized(const NormCall& norm, const QuantizeCall& rows, cudaStream_t stream) {
  if (norm.n == 0 || norm.h == 0) return;
  hold_rows<kWidestNorm>(norm.h, [&](auto groups, unsigned threads) {
    if constexpr (kStreams<groups()>) {
      using Stream = RowStream<groups()>;
      if (Stream::takes(norm)) {
        return launch(norm_quantize_stream_kernel<groups()>, dim3(Stream::blocks()), dim3(threads),
                      Stream::shared_bytes(norm, rows.mixed, threads), stream, norm, rows);
      }
    }
    launch(norm_quantize_kernel<groups()>, dim3(norm.n), dim3(threads),
           quantize_shared_bytes<groups()>(rows.mixed, threads), stream, norm, rows);
  });
}

}  // namespace octet::cuda
