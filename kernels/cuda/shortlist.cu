// shortlist: a row is cut into chunks; a block of threads each picks the likeliest of its chunk and
// adds its exponentials; then one block a row merges the lists and adds the sums. Thread t has the
// elements t, t + kThreads, ...: all orders follow from the width of a row alone.
#include <algorithm>

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/ops.h"

namespace octet::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kChunk = 4096;

struct Chunk {
  uint64_t keys[kShortlist];  // likeliest first; of a greedy row one
  double sum, mass;           // as in Shortlist, relative to the chunk's own first
};

// A logit and its id as a number that is greater the likelier it is, never 0. -0 and 0 are equals.
__device__ uint64_t key_of(float logit, int id) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  const uint32_t ordered = bits ^ (bits >> 31 != 0 ? 0xffffffffu : 0x80000000u);
  return uint64_t{ordered} << 32 | ~static_cast<uint32_t>(id);
}
__device__ float logit_of(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(ordered ^ (ordered >> 31 != 0 ? 0x80000000u : 0xffffffffu));
}
__device__ int id_of(uint64_t key) { return static_cast<int>(~static_cast<uint32_t>(key)); }

__device__ int wanted_of(float inverse_temperature) {
  return inverse_temperature == 0 ? 1 : kShortlist;
}

// Dynamic shared memory of pick_greatest().
size_t candidate_bytes(int n) {
  return sizeof(uint64_t) * kShortlist * ((n + kThreads - 1) / kThreads);
}

// The greatest `wanted` of the keys key(i), i < n, in order, to out, zeros behind; the whole block
// sees them. Zeros among the keys are none.
template <typename Key>
__device__ void pick_greatest(int n, int wanted, const Key& key, uint64_t* out) {
  __shared__ uint64_t of_threads[kThreads], least;
  __shared__ int count;
  uint64_t* candidates = reinterpret_cast<uint64_t*>(dynamic_shared());
  uint64_t mine = 0;
  for (int i = threadIdx.x; i < n; i += kThreads) {
    const uint64_t k = key(i);
    mine = k > mine ? k : mine;
  }
  if (wanted == 1) {
    const uint64_t greatest =
        block_reduce(mine, of_threads, [](uint64_t a, uint64_t b) { return a > b ? a : b; });
    if (threadIdx.x == 0) out[0] = greatest;
    __syncthreads();
    return;
  }
  of_threads[threadIdx.x] = mine;
  if (threadIdx.x == 0) {
    least = 1;
    count = 0;
  }
  __syncthreads();
  // The threads' greatest, in order: from the wanted-th on, the keys below it are not wanted. Only
  // as many threads have any that is not below.
  int above = 0;
  for (int t = 0; t < kThreads; ++t) above += of_threads[t] > mine;
  if (above == wanted - 1 && mine != 0) least = mine;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += kThreads) {
    const uint64_t k = key(i);
    if (k >= least) candidates[atomicAdd(&count, 1)] = k;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const uint64_t k = candidates[i];
    int place = 0;
    for (int j = 0; j < count; ++j) place += candidates[j] > k;
    if (place < wanted) out[place] = k;
  }
  for (int i = count + static_cast<int>(threadIdx.x); i < wanted; i += kThreads) out[i] = 0;
  __syncthreads();
}

// chunks: [rows, gridDim.x]
__global__ void __launch_bounds__(kThreads) chunk_kernel(ShortlistCall call, Chunk* chunks) {
  let_successor_start();
  wait_for_predecessor();
  __shared__ double sums[kReduceSlots], masses[kReduceSlots];
  const int row = blockIdx.y, begin = blockIdx.x * kChunk, n = min(kChunk, call.vocab_size - begin);
  const float* logits = call.logits + int64_t{row} * call.vocab_size + begin;
  const float inverse = call.inverse_temperatures[row];
  Chunk& chunk = chunks[int64_t{row} * gridDim.x + blockIdx.x];
  pick_greatest(
      n, wanted_of(inverse), [&](int i) { return key_of(logits[i], begin + i); }, chunk.keys);
  const float greatest = logit_of(chunk.keys[0]);
  const float top = greatest == -INFINITY ? 0.0f : greatest;  // nothing but -infinity adds nothing
  double sum = 0, mass = 0;
  for (int i = threadIdx.x; i < n; i += kThreads) {
    const float below = logits[i] - top;
    sum += expf(below);
    if (inverse != 0) mass += expf(below * inverse);
  }
  sum = block_sum(sum, sums);
  mass = block_sum(mass, masses);
  if (threadIdx.x == 0) {
    chunk.sum = sum;
    chunk.mass = mass;
  }
}

__global__ void __launch_bounds__(kThreads)
    merge_kernel(ShortlistCall call, const Chunk* chunks, int num_chunks) {
  let_successor_start();
  wait_for_predecessor();
  __shared__ double sums[kReduceSlots], masses[kReduceSlots];
  __shared__ uint64_t keys[kShortlist];
  const int row = blockIdx.x;
  const float inverse = call.inverse_temperatures[row];
  const int wanted = wanted_of(inverse);
  const Chunk* of_row = chunks + int64_t{row} * num_chunks;
  pick_greatest(
      num_chunks * wanted, wanted, [&](int i) { return of_row[i / wanted].keys[i % wanted]; },
      keys);
  const float top = logit_of(keys[0]);
  double sum = 0, mass = 0;
  for (int i = threadIdx.x; i < num_chunks; i += kThreads) {
    const float below = logit_of(of_row[i].keys[0]) - top;
    sum += of_row[i].sum * expf(below);
    if (inverse != 0) mass += of_row[i].mass * expf(below * inverse);
  }
  sum = block_sum(sum, sums);
  mass = block_sum(mass, masses);
  Shortlist& list = call.out[row];
  for (int i = threadIdx.x; i < kShortlist; i += kThreads) {
    const bool there = i < wanted && keys[i] != 0;
    list.ids[i] = there ? id_of(keys[i]) : -1;
    list.logits[i] = there ? logit_of(keys[i]) : -INFINITY;
  }
  if (threadIdx.x == 0) {
    const int token = call.scored_tokens[row];
    list.sum = sum;
    list.mass = mass;
    list.size = min(wanted, call.vocab_size);
    list.scored_logit = token < 0 ? -INFINITY : call.logits[int64_t{row} * call.vocab_size + token];
  }
}

}  // namespace

void shortlist(const ShortlistCall& call, cudaStream_t stream) {
  if (call.m == 0) return;
  const int num_chunks = (call.vocab_size + kChunk - 1) / kChunk;
  const int64_t row_bytes = num_chunks * int64_t{sizeof(Chunk)};
  const auto most = static_cast<int>(std::min<int64_t>(call.scratch_bytes / row_bytes, call.m));
  auto* chunks = static_cast<Chunk*>(call.scratch);
  for (int first = 0; first < call.m; first += most) {
    ShortlistCall part = call;
    part.m = std::min(most, call.m - first);
    part.logits += int64_t{first} * call.vocab_size;
    part.inverse_temperatures += first;
    part.scored_tokens += first;
    part.out += first;
    launch(chunk_kernel, dim3(num_chunks, part.m), dim3(kThreads),
           candidate_bytes(std::min(kChunk, call.vocab_size)), stream, part, chunks);
    launch(merge_kernel, dim3(part.m), dim3(kThreads), candidate_bytes(num_chunks * kShortlist),
           stream, part, chunks, num_chunks);
  }
}

}  // namespace octet::cuda
