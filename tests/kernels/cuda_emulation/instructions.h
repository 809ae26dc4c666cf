// What kernels/cuda/device.cuh has on the device, on the CPU: the same names, the same meaning.
//
// Asynchronous work is done as late as it may be: copies to shared memory at the wait for them (the
// place holds 0xC3 until then), products of warp groups at theirs. So a wait that is missing or too
// short shows as a wrong result, as does a place that is reused too early. Not emulated: how the
// device orders the additions inside one mma of bf16 (here one chain of fused additions along k),
// the order of memory without fences, setmaxnreg, and the proxies between copies and products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <tuple>

#include "tests/kernels/cuda_emulation/cuda_bf16.h"
#include "tests/kernels/cuda_emulation/cuda_runtime.h"
#include "tests/kernels/cuda_emulation/warp_matrices.h"

namespace octet::cuda {

using cuda_emulation::Site;

template <typename... Parameters, typename... Arguments>
void launch_clusters(unsigned cluster, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                     size_t shared_bytes, cudaStream_t stream, Arguments... arguments) {
  const std::tuple<Parameters...> held(static_cast<Parameters>(arguments)...);
  cuda_emulation::enqueue(stream, [=] {
    cuda_emulation::run_grid(
        grid, block, shared_bytes, [&] { std::apply(kernel, held); }, cluster);
  });
}
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
  launch_clusters(1, kernel, grid, block, shared_bytes, stream, arguments...);
}
template <typename... Parameters>
int resident_clusters(unsigned cluster, void (*)(Parameters...), dim3, size_t) {
  return 4 / static_cast<int>(cluster);
}

inline std::byte* dynamic_shared() { return cuda_emulation::current->block->shared().data(); }

inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(static_cast<const std::byte*>(p) - dynamic_shared());
}

inline uint64_t read_once() { return 0; }

// Asynchronous copies.
inline void copy_async16(void* shared, const void* global, int bytes = 16) {
  cuda_emulation::issue_copy(shared, global, bytes, 16 - bytes);
}
inline void copy_async16(void* shared, const void* global, int bytes, uint64_t) {
  copy_async16(shared, global, bytes);
}
inline void commit_copies() { cuda_emulation::current->copies.emplace_back(); }
template <int kStillFlying>
void wait_copies() {
  cuda_emulation::finish_copies(kStillFlying);
}

// Matrices of a warp.
inline void load_matrices(uint32_t (&r)[4], const void* row, Site site = Site::current()) {
  cuda_emulation::load_matrices(r, row, false, site);
}
inline void load_matrices_transposed(uint32_t (&r)[4], const void* row,
                                     Site site = Site::current()) {
  cuda_emulation::load_matrices(r, row, true, site);
}
inline void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                   Site site = Site::current()) {
  cuda_emulation::mma<int8_t>(d, a, b, "mma_s8", site);
}
inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                     Site site = Site::current()) {
  cuda_emulation::mma<__nv_bfloat16>(d, a, b, "mma_bf16", site);
}

// Products of a warp group. Each thread computes its own part, from shared memory alone.
inline uint64_t matrix_descriptor(const void* tile) { return shared_address(tile); }
inline void warp_group_fence() {}
template <int N>
void warp_group_mma_s8(int32_t (&d)[N / 2], uint64_t a, uint64_t b) {
  cuda_emulation::current->products.back().push_back(
      [&d, a, b] { cuda_emulation::warp_group_part(d, N, a, b); });
}
inline void commit_products() { cuda_emulation::current->products.emplace_back(); }
template <int kStillFlying>
void wait_products(Site site = Site::current()) {
  cuda_emulation::finish_products(kStillFlying);
  __syncwarp(cuda_emulation::kAllLanes, site);  // a warp's products end together
}
template <int kCount>
void fence_sums(int32_t (&)[kCount]) {}

// Barriers.
inline void sync_threads(int barrier, int threads, Site site = Site::current()) {
  cuda_emulation::current->block->barrier_sync(static_cast<unsigned>(barrier),
                                               static_cast<unsigned>(threads), site);
}
inline void barrier_init(uint64_t* barrier, int count) {
  cuda_emulation::phase_init(barrier, count);
}
inline void barrier_init_fence() {}
inline void barrier_arrive(uint64_t* barrier) { cuda_emulation::phase_arrive(barrier, 0); }
inline void barrier_arrive_in(unsigned rank, uint64_t* barrier) {
  cuda_emulation::Block& self = *cuda_emulation::current->block;
  cuda_emulation::Block& peer = self.peer(rank);
  cuda_emulation::phase_arrive(static_cast<uint64_t*>(self.place_in(peer, barrier)), 0, peer);
}
inline void store_in(unsigned rank, int2* shared, int2 value) {
  cuda_emulation::Block& self = *cuda_emulation::current->block;
  *static_cast<int2*>(self.place_in(self.peer(rank), shared)) = value;
}
inline void cluster_arrive() { cuda_emulation::current->block->cluster_arrive(); }
inline void cluster_wait(Site site = Site::current()) {
  cuda_emulation::current->block->cluster_wait(site);
}
inline void cluster_sync(Site site = Site::current()) {
  cluster_arrive();
  cluster_wait(site);
}
inline void barrier_arrive_expecting(uint64_t* barrier, int bytes) {
  cuda_emulation::phase_arrive(barrier, bytes);
}
inline void barrier_wait(uint64_t* barrier, int parity, Site site = Site::current()) {
  cuda_emulation::current->block->wait_until(
      [=] { return cuda_emulation::phase_ended(barrier, parity); }, "barrier_wait", site);
}
inline bool barrier_passed(uint64_t* barrier, int parity) {
  return cuda_emulation::phase_ended(barrier, parity);
}
inline void copy_bulk(void* shared, const void* global, int bytes, uint64_t* barrier) {
  cuda_emulation::issue_bulk_copy(shared, global, bytes, barrier);
}
inline void copy_bulk_once(void* shared, const void* global, int bytes, uint64_t* barrier) {
  copy_bulk(shared, global, bytes, barrier);
}
inline void copy_bulk_to_all(unsigned cluster, void* shared, const void* global, int bytes,
                             uint64_t* barrier) {
  cuda_emulation::Block& self = *cuda_emulation::current->block;
  for (unsigned rank = 0; rank < cluster; ++rank) {
    cuda_emulation::Block& peer = self.peer(rank);
    cuda_emulation::issue_bulk_copy(self.place_in(peer, shared), global, bytes,
                                    static_cast<uint64_t*>(self.place_in(peer, barrier)), peer);
  }
}

struct TileMap {
  const int8_t* base;
  int rows, columns, tile_rows;
};
inline TileMap map_tiles(const int8_t* base, int rows, int columns, int tile_rows) {
  if (rows <= 0 || columns <= 0) throw std::runtime_error("a tensor map of nothing");
  return {base, rows, columns, tile_rows};
}
inline void copy_tile(void* shared, const TileMap& map, int row, int column, uint64_t* barrier) {
  auto* to = static_cast<std::byte*>(shared);
  for (int i = 0; i < map.tile_rows * 4; ++i) {
    const int r = i / 4, chunk = i % 4;
    cuda_emulation::issue_bulk_copy(
        to + r * 64 + (chunk ^ r / 2 % 4) * 16,
        row + r < map.rows ? map.base + int64_t{row + r} * map.columns + column + chunk * 16
                           : nullptr,
        16, barrier);
  }
}

template <int kRegisters>
void give_registers() {}
template <int kRegisters>
void take_registers() {}

inline void prefetch_line(const void*) {}
inline uint4 load_streaming(const void* p) { return *static_cast<const uint4*>(p); }

inline int opaque(int x) { return x; }

// Flags of peers, which are other OS threads or processes here.
inline uint32_t load_acquire(const uint32_t* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
inline void store_release(uint32_t* p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
template <typename Done>
void wait_until(const Done& done, Site site = Site::current()) {
  cuda_emulation::current->block->wait_until(done, "wait_until", site, true);
}

inline void wait_for_predecessor() {}
inline void let_successor_start() {}
inline float exp2_approx(float x) { return std::exp2(x); }

}  // namespace octet::cuda
