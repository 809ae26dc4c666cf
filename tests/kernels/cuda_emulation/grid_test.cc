// The emulation itself: threads, barriers, shuffles, asynchronous copies, streams, and what it
// reports.
#include <gtest/gtest.h>

#include <numeric>
#include <thread>
#include <vector>

#include "kernels/cuda/device.cuh"

namespace octet::cuda {
namespace {

using cuda_emulation::Order;

class Grid : public ::testing::TestWithParam<Order> {
 protected:
  void SetUp() override { cuda_emulation::set_order(GetParam()); }
  void TearDown() override { cuda_emulation::set_order(Order::kForward); }
};

__global__ void write_index(int* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] =
      static_cast<int>(block * 100 + thread);
}

TEST_P(Grid, EachThreadOfEachBlockRunsOnce) {
  std::vector<int> out(2 * 3 * 4 * 48, -1);
  launch(write_index, {2, 3, 4}, {4, 6, 2}, 0, nullptr, out.data());
  for (int i = 0; i < 24 * 48; ++i) EXPECT_EQ(out[i], i / 48 * 100 + i % 48);
}

__global__ void reverse(const int* in, int* out) {
  __shared__ int values[96];
  values[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = values[95 - threadIdx.x];
}

TEST_P(Grid, SharedMemoryIsSeenByAllAfterTheBarrier) {
  std::vector<int> in(96), out(96);
  std::iota(in.begin(), in.end(), 0);
  launch(reverse, 1, 96, 0, nullptr, in.data(), out.data());
  for (int i = 0; i < 96; ++i) EXPECT_EQ(out[i], 95 - i);
}

__global__ void sum_warp(int* sums) {
  int value = static_cast<int>(threadIdx.x);
  for (int with = 16; with > 0; with /= 2) value += __shfl_xor_sync(0xffffffffu, value, with);
  sums[threadIdx.x] = value + __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x), 3) +
                      1000 * __shfl_down_sync(0xffffffffu, static_cast<int>(threadIdx.x), 2, 8);
}

TEST_P(Grid, ShufflesReadTheLaneThatTheySay) {
  std::vector<int> sums(64);
  launch(sum_warp, 1, 64, 0, nullptr, sums.data());
  for (int i = 0; i < 64; ++i) {
    const int first = i / 32 * 32, below = i % 8 < 6 ? i + 2 : i;
    EXPECT_EQ(sums[i], 32 * first + 496 + first + 3 + 1000 * below);
  }
}

__global__ void vote(unsigned* out) {
  const unsigned ballot = __ballot_sync(0xffffffffu, threadIdx.x % 3 == 0);
  unsigned part = 0;
  if (threadIdx.x < 8) part = __reduce_max_sync(0xffu, threadIdx.x);
  out[threadIdx.x] = ballot + part;
}

TEST_P(Grid, VotesAndFoldsSeeTheLanesOfTheMask) {
  std::vector<unsigned> out(32);
  launch(vote, 1, 32, 0, nullptr, out.data());
  for (unsigned i = 0; i < 32; ++i) EXPECT_EQ(out[i], 0x49249249u + (i < 8 ? 7 : 0));
}

// Two stages of copies; kWait says how many groups may still fly.
template <int kWait>
__global__ void copy_through(const int4* in, int4* out) {
  auto* stage = reinterpret_cast<int4*>(dynamic_shared());
  copy_async16(stage + threadIdx.x, in + threadIdx.x);
  commit_copies();
  copy_async16(stage + 32 + threadIdx.x, in + 32 + threadIdx.x, 8);
  commit_copies();
  wait_copies<kWait>();
  __syncthreads();
  out[threadIdx.x] = stage[31 - threadIdx.x];
  out[32 + threadIdx.x] = stage[63 - threadIdx.x];
  __syncthreads();
  wait_copies<0>();
}

TEST_P(Grid, CopiesHaveComeAfterTheWaitForThem_AndNotBefore) {
  std::vector<int4> in(64), out(64);
  for (int i = 0; i < 64; ++i) in[i] = {i, i + 1, i + 2, i + 3};
  launch(copy_through<0>, 1, 32, 1024, nullptr, in.data(), out.data());
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i].x, 31 - i);
    EXPECT_EQ(out[32 + i].y, 64 - i);
    EXPECT_EQ(out[32 + i].z, 0);  // only eight bytes were asked for
  }
  launch(copy_through<1>, 1, 32, 1024, nullptr, in.data(), out.data());
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i].x, 31 - i);
    EXPECT_NE(out[32 + i].y, 64 - i);
  }
}

// A producer warp and a consumer warp over a ring of two places.
__global__ void ring(const int* in, int* out, int rounds) {
  auto* places = reinterpret_cast<int*>(dynamic_shared());
  auto* full = reinterpret_cast<uint64_t*>(dynamic_shared() + 256);
  uint64_t* empty = full + 2;
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; ++i) {
      barrier_init(full + i, 1);
      barrier_init(empty + i, 32);
    }
    barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 0; i < rounds; ++i) {
      if (i >= 2) barrier_wait(empty + i % 2, (i / 2 - 1) % 2);
      barrier_arrive_expecting(full + i % 2, 128);
      copy_bulk(places + i % 2 * 32, in + i * 32, 128, full + i % 2);
    }
  } else if (threadIdx.x >= 32) {
    const unsigned lane = threadIdx.x - 32;
    for (int i = 0; i < rounds; ++i) {
      barrier_wait(full + i % 2, i / 2 % 2);
      out[i * 32 + lane] = places[i % 2 * 32 + lane] + 1;
      barrier_arrive(empty + i % 2);
    }
  }
}

TEST_P(Grid, AProducerAndConsumersPassEachPlaceOnce) {
  std::vector<int> in(7 * 32), out(7 * 32);
  std::iota(in.begin(), in.end(), 0);
  launch(ring, 1, 64, 512, nullptr, in.data(), out.data(), 7);
  for (int i = 0; i < 7 * 32; ++i) EXPECT_EQ(out[i], i + 1);
}

// Each block of a cluster copies its half to both; a place comes again when both have read it.
__global__ void shared_ring(const int* in, int* out, int rounds) {
  auto* place = reinterpret_cast<int*>(dynamic_shared());
  auto* full = reinterpret_cast<uint64_t*>(dynamic_shared() + 128);
  uint64_t* empty = full + 1;
  const unsigned rank = blockIdx.x % 2;
  if (threadIdx.x == 0) {
    barrier_init(full, 1);
    barrier_init(empty, 2);
    barrier_init_fence();
  }
  cluster_sync();
  for (int i = 0; i < rounds; ++i) {
    if (threadIdx.x == 0) {
      barrier_wait(empty, (i + 1) % 2);
      barrier_arrive_expecting(full, 128);
      copy_bulk_to_all(2, place + rank * 16, in + i * 32 + rank * 16, 64, full);
    }
    barrier_wait(full, i % 2);
    out[(blockIdx.x * rounds + i) * 32 + threadIdx.x] = place[threadIdx.x];
    __syncwarp();
    if (threadIdx.x < 2) barrier_arrive_in(threadIdx.x, empty);
  }
  cluster_sync();
}

TEST_P(Grid, BlocksOfAClusterFillEachOthersSharedMemory) {
  std::vector<int> in(7 * 32), out(4 * 7 * 32);
  std::iota(in.begin(), in.end(), 0);
  launch_clusters(2, shared_ring, 4, 32, 512, nullptr, in.data(), out.data(), 7);
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], in[i % in.size()]);
}

INSTANTIATE_TEST_SUITE_P(Orders, Grid,
                         ::testing::Values(Order::kForward, Order::kBackward, Order::kShuffled));

__global__ void unsynchronised(int* out) {
  __shared__ int value;
  if (threadIdx.x == 0) value = 7;
  out[threadIdx.x] = value;
  value = 0;
}

TEST(GridReports, AMissingBarrier_ByTheOtherOrder) {
  int forward[2], backward[2];
  launch(unsynchronised, 1, 2, 0, nullptr, forward);
  cuda_emulation::set_order(Order::kBackward);
  launch(unsynchronised, 1, 2, 0, nullptr, backward);
  cuda_emulation::set_order(Order::kForward);
  EXPECT_NE(forward[1], backward[0] + backward[1]);
}

__global__ void part_ways(int* out) {
  if (threadIdx.x < 16) {
    out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
  } else {
    __syncwarp();
  }
}
__global__ void leave_some_behind() {
  if (threadIdx.x < 32) sync_threads(1, 64);
}
__global__ void write_behind_the_end() { dynamic_shared()[64 + threadIdx.x] = std::byte{1}; }
__global__ void reach_into_an_ended_block() {
  barrier_init(reinterpret_cast<uint64_t*>(dynamic_shared()), 1);
  cluster_sync();
  if (blockIdx.x == 0) barrier_arrive_in(1, reinterpret_cast<uint64_t*>(dynamic_shared()));
}
__global__ void load_behind_the_end() {
  uint32_t r[4];
  load_matrices(r, dynamic_shared() + threadIdx.x * 16 + 16);
}

TEST(GridReports, LanesThatPartWays_BarriersNotReached_AndMemoryThatIsNotThere) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  int out[32];
  EXPECT_DEATH(launch(part_ways, 1, 32, 0, nullptr, out), "part ways: __shfl_sync at grid_test.cc");
  EXPECT_DEATH(launch(leave_some_behind, 1, 64, 0, nullptr), "no thread can go on");
  EXPECT_DEATH(launch(write_behind_the_end, 1, 32, 64, nullptr), "written at offset 64 of 64");
  EXPECT_DEATH(launch_clusters(2, reach_into_an_ended_block, 2, 1, 64, nullptr), "has ended");
  EXPECT_DEATH(launch(load_behind_the_end, 1, 32, 512, nullptr), "ldmatrix outside");
}

__global__ void add(int* p, int value) { atomicAdd(p, value); }

TEST(Streams, ACapturedListRunsAtEachLaunchAndNotBefore) {
  int* device = nullptr;
  ASSERT_EQ(cudaMalloc(&device, sizeof(int)), cudaSuccess);
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  cudaMemsetAsync(device, 0, sizeof(int), stream);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  launch(add, 2, 3, 0, stream, device, 5);
  cudaGraph_t graph;
  cudaStreamEndCapture(stream, &graph);
  EXPECT_EQ(*device, 0);
  cudaGraphExec_t executable;
  cudaGraphInstantiate(&executable, graph);
  cudaGraphLaunch(executable, stream);
  cudaGraphLaunch(executable, stream);
  EXPECT_EQ(*device, 60);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
  cudaFree(device);
}

__global__ void meet_peer(uint32_t* mine, uint32_t* theirs) {
  if (threadIdx.x == 0) store_release(theirs, 1);
  if (threadIdx.x == 1) wait_until([=] { return load_acquire(mine) == 1; });
  __syncthreads();
}

TEST(Streams, PeersOnOtherThreadsMeet) {
  uint32_t flags[2] = {};
  std::thread peer([&] { launch(meet_peer, 1, 32, 0, nullptr, &flags[0], &flags[1]); });
  launch(meet_peer, 1, 32, 0, nullptr, &flags[1], &flags[0]);
  peer.join();
  EXPECT_EQ(flags[0] + flags[1], 2u);
}

}  // namespace
}  // namespace octet::cuda
