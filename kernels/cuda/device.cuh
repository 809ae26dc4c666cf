// The one place where the project speaks to the GPU's instruction set, and the one switch between
// device and emulation (tests/kernels/cuda_emulation). Each function is one instruction, named for
// what it does; the PTX manual says the rest. Kernels use these and CUDA C++'s own built-ins.
//
// Compile with -fmad=false: fused multiply-adds are written out (__fmaf_rn) where meant, so that
// bits do not depend on what the compiler could fuse.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#if defined(OCTET_CUDA_EMULATION)
#include "tests/kernels/cuda_emulation/instructions.h"
#else

#include <cuda.h>

#include <stdexcept>
#include <string>

#include "kernels/cuda/warp_group_mma.cuh"

namespace octet::cuda {

// Can the current device start a kernel while the one before it ends?
inline bool starts_early() {
  static const bool yes = [] {
    int device = 0, major = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    return major >= 9;
  }();
  return yes;
}

inline constexpr unsigned kSmallGrid = 1024;  // blocks

inline cudaLaunchAttribute cluster_attribute(unsigned cluster) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {cluster, 1, 1};
  return attribute;
}

// Queues kernel(arguments...) on the stream. From compute capability 9.0 on it may start before the
// kernel in front of it has ended: every kernel calls wait_for_predecessor() before it touches what
// another one writes or reads; but for weights and norms, which only loading writes, and a step's
// lengths and tables, which are uploaded in front of its kernels. Throws
// std::runtime_error where CUDA refuses. `cluster` neighbouring blocks along x form a cluster
// (from 9.0 on; the grid is whole clusters).
template <typename... Parameters, typename... Arguments>
void launch_clusters(unsigned cluster, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                     size_t shared_bytes, cudaStream_t stream, Arguments... arguments) {
  cudaLaunchAttribute attributes[2]{};
  unsigned count = 0;
  if (starts_early()) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (cluster > 1) attributes[count++] = cluster_attribute(cluster);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  // A multiprocessor must be empty before its caches are divided otherwise, so small grids, which
  // run beside their neighbours, ask for the same division.
  const bool small = grid.x * grid.y * grid.z <= kSmallGrid;
  cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                           small ? cudaSharedmemCarveoutMaxShared : cudaSharedmemCarveoutDefault);
  if (error == cudaSuccess &&
      shared_bytes > 40 * 1024) {  // 48 KB with the kernel's own variables need no leave
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes));
  }
  if (error == cudaSuccess) {
    error = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  }
  if (error != cudaSuccess) {
    const auto text = [](unsigned n) { return std::to_string(n); };
    throw std::runtime_error(std::string("CUDA: launch: ") + cudaGetErrorString(error) + ": " +
                             text(grid.x) + " x " + text(grid.y) + " x " + text(grid.z) +
                             " blocks of " + text(block.x * block.y * block.z) + " threads, " +
                             std::to_string(shared_bytes) +
                             " bytes of shared memory, clusters of " + text(cluster));
  }
}
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
  launch_clusters(1, kernel, grid, block, shared_bytes, stream, arguments...);
}

// How many clusters the current device holds at once; 0 where it has none of that size.
template <typename... Parameters>
int resident_clusters(unsigned cluster, void (*kernel)(Parameters...), dim3 block,
                      size_t shared_bytes) {
  cudaLaunchAttribute attribute = cluster_attribute(cluster);
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(cluster);
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.attrs = &attribute;
  config.numAttrs = 1;
  int clusters = 0;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(shared_bytes));
  const cudaError_t error = cudaOccupancyMaxActiveClusters(&clusters, kernel, &config);
  return error == cudaSuccess ? clusters : 0;
}

// The block's dynamic shared memory, 1024-byte aligned where the kernel has no __shared__ variable.
__device__ __forceinline__ std::byte* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char octet_dynamic_shared[];
  return reinterpret_cast<std::byte*>(octet_dynamic_shared);
}

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// L2's policy for what is read once: the first to go, so that what is read again stays.
__device__ __forceinline__ uint64_t read_once() {
  uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;\n" : "=l"(policy));
  return policy;
}

// Asynchronous copies of 16 bytes to shared memory: the thread's own, in groups. `bytes` of them
// are read, the rest becomes zeros.
__device__ __forceinline__ void copy_async16(void* shared, const void* global, int bytes = 16) {
  asm volatile(
      "cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)),
      "l"(global), "r"(bytes)
      : "memory");
}
// The same with a policy of L2, and without its fetching of whole 128 bytes.
__device__ __forceinline__ void copy_async16(void* shared, const void* global, int bytes,
                                             uint64_t policy) {
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;\n" ::"r"(
                   shared_address(shared)),
               "l"(global), "r"(bytes), "l"(policy)
               : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
template <int kStillFlying>  // of the newest groups
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kStillFlying) : "memory");
}

// Four 8 x 8 matrices of 16-bit elements (or 8 x 16 bytes): lane l gives the address of row l % 8
// of matrix l / 8, and gets of each matrix the 4 bytes l % 4 of row l / 4.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
// The same of the transposed matrices.
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// d += a b, 16 x 8 x 32 of int8: lane l holds, with g = l / 4 and t = l % 4, rows g and g + 8 of a
// (k 4t.. in a[0], a[1]; k 16 + 4t.. in a[2], a[3]), column g of b (k 4t.., 16 + 4t..), and of d
// row g, columns 2t and 2t + 1, then row g + 8.
__device__ __forceinline__ void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4],
                                       const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};\n"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// d += a b, 16 x 8 x 16 of bf16 in fp32: as above with k 2t.. and 8 + 2t...
__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4],
                                         const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Barriers 1 to 15 of the block, among `threads` threads (whole warps).
__device__ __forceinline__ void sync_threads(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;\n" ::"r"(barrier), "r"(threads) : "memory");
}

// Memory barriers (mbarrier) in shared memory: a phase ends when `count` threads have arrived and
// all expected bytes have come.
__device__ __forceinline__ void barrier_init(uint64_t* barrier, int count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(count)
               : "memory");
}
// After barrier_init, before a __syncthreads: the copy engine sees the barriers.
__device__ __forceinline__ void barrier_init_fence() {
  OCTET_SM90_ONLY(asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory"));
}
__device__ __forceinline__ void barrier_arrive(uint64_t* barrier) {
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.shared.b64 state, [%0];\n}\n" ::"r"(
                   shared_address(barrier))
               : "memory");
}
// At the barrier that block `rank` of the cluster has at this place. Says that the thread has read:
// what it wrote to memory may be seen later, or the arrival would wait for all of its stores.
__device__ __forceinline__ void barrier_arrive_in(unsigned rank, uint64_t* barrier) {
  OCTET_SM90_ONLY(asm volatile(
      "{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::"r"(shared_address(barrier)),
      "r"(rank)
      : "memory"));
}
// To the same place in the shared memory of block `rank` of the cluster.
__device__ __forceinline__ void store_in(unsigned rank, int2* shared, int2 value) {
  OCTET_SM90_ONLY(asm volatile(
      "{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
      "st.shared::cluster.v2.s32 [there], {%2, %3};\n}\n" ::"r"(shared_address(shared)),
      "r"(rank), "r"(value.x), "r"(value.y)
      : "memory"));
}
// Says that the thread has come. Every thread arrives, and waits before it arrives again or ends.
__device__ __forceinline__ void cluster_arrive() {
  OCTET_SM90_ONLY(asm volatile("barrier.cluster.arrive.release;\n" ::: "memory"));
}
// Until all threads of the cluster have come; what they wrote is seen.
__device__ __forceinline__ void cluster_wait() {
  OCTET_SM90_ONLY(asm volatile("barrier.cluster.wait.acquire;\n" ::: "memory"));
}
__device__ __forceinline__ void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}
__device__ __forceinline__ void barrier_arrive_expecting(uint64_t* barrier, int bytes) {
  OCTET_SM90_ONLY(
      asm volatile("{\n.reg .b64 state;\n"
                   "mbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n}\n" ::"r"(
                       shared_address(barrier)),
                   "r"(bytes)
                   : "memory"));
}
// Until the phase of this parity has ended; the first phase has parity 0.
__device__ __forceinline__ void barrier_wait(uint64_t* barrier, int parity) {
  OCTET_SM90_ONLY(
      asm volatile("{\n.reg .pred done;\nagain:\n"
                   "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
                   "@!done bra again;\n}\n" ::"r"(shared_address(barrier)),
                   "r"(parity)
                   : "memory"));
}
// Has it?
__device__ __forceinline__ bool barrier_passed(uint64_t* barrier, int parity) {
  unsigned passed = 0;
  OCTET_SM90_ONLY(
      asm volatile("{\n.reg .pred done;\n"
                   "mbarrier.test_wait.parity.shared::cta.b64 done, [%1], %2;\n"
                   "selp.u32 %0, 1, 0, done;\n}\n"
                   : "=r"(passed)
                   : "r"(shared_address(barrier)), "r"(parity)
                   : "memory"));
  return passed != 0;
}
// One bulk copy to shared memory: 16-byte aligned, whole 16 bytes; the barrier expects the bytes.
__device__ __forceinline__ void copy_bulk(void* shared, const void* global, int bytes,
                                          uint64_t* barrier) {
  OCTET_SM90_ONLY(
      asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                   "[%0], [%1], %2, [%3];\n" ::"r"(shared_address(shared)),
                   "l"(global), "r"(bytes), "r"(shared_address(barrier))
                   : "memory"));
}
// The same of what is read once.
__device__ __forceinline__ void copy_bulk_once(void* shared, const void* global, int bytes,
                                               uint64_t* barrier) {
  OCTET_SM90_ONLY(asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1], %2, [%3], %4;\n" ::"r"(shared_address(shared)),
      "l"(global), "r"(bytes), "r"(shared_address(barrier)), "l"(read_once())
      : "memory"));
}
// The same to this place in the first `cluster` blocks of the cluster, and for their barriers
// there.
__device__ __forceinline__ void copy_bulk_to_all(unsigned cluster, void* shared, const void* global,
                                                 int bytes, uint64_t* barrier) {
  OCTET_SM90_ONLY(asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%0], [%1], %2, [%3], %4;\n" ::"r"(shared_address(shared)),
      "l"(global), "r"(bytes), "r"(shared_address(barrier)),
      "h"(static_cast<uint16_t>((1u << cluster) - 1))
      : "memory"));
}

// Where copy_tile finds rows of bytes, and how many of them are a tile of 64 columns.
struct TileMap {
  CUtensorMap map;
};
// base: [rows, columns], columns a multiple of 64. Throws std::runtime_error where CUDA refuses.
inline TileMap map_tiles(const int8_t* base, int rows, int columns, int tile_rows) {
  static const auto encode = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found{};
    const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                               12000, cudaEnableDefault, &found);
    if (error != cudaSuccess || found != cudaDriverEntryPointSuccess) {
      throw std::runtime_error("CUDA: this driver has no cuTensorMapEncodeTiled");
    }
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  TileMap result;
  const cuuint64_t extents[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t pitch[1] = {static_cast<cuuint64_t>(columns)};
  const cuuint32_t box[2] = {64, static_cast<cuuint32_t>(tile_rows)}, steps[2] = {1, 1};
  const CUresult status =
      encode(&result.map, CU_TENSOR_MAP_DATA_TYPE_UINT8, 2, const_cast<int8_t*>(base), extents,
             pitch, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_64B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS) {
    throw std::runtime_error("CUDA: cuTensorMapEncodeTiled failed: " + std::to_string(status));
  }
  return result;
}
// Copies the tile that begins at `row`, `column` to shared memory, 64-byte swizzled as
// matrix_descriptor says; rows that are not there become zeros. The barrier expects all bytes.
__device__ __forceinline__ void copy_tile(void* shared, const TileMap& map, int row, int column,
                                          uint64_t* barrier) {
  OCTET_SM90_ONLY(
      asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                   "[%0], [%1, {%2, %3}], [%4];\n" ::"r"(shared_address(shared)),
                   "l"(&map), "r"(column), "r"(row), "r"(shared_address(barrier))
                   : "memory"));
}

// Registers move from the warp group that copies to those that multiply.
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  OCTET_SM90_ONLY(asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(kRegisters)));
}
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  OCTET_SM90_ONLY(asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(kRegisters)));
}

// The 128 bytes at p, to L2.
__device__ __forceinline__ void prefetch_line(const void* p) {
  asm volatile("prefetch.global.L2 [%0];\n" ::"l"(p));
}
// 16 bytes that are read once: past L1.
__device__ __forceinline__ uint4 load_streaming(const void* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}

// The same integer, of which the compiler knows nothing.
__device__ __forceinline__ int opaque(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

// Flags that peers on other devices read and write.
__device__ __forceinline__ uint32_t load_acquire(const uint32_t* p) {
  uint32_t v;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];\n" : "=r"(v) : "l"(p) : "memory");
  return v;
}
__device__ __forceinline__ void store_release(uint32_t* p, uint32_t v) {
  asm volatile("st.release.sys.global.u32 [%0], %1;\n" ::"l"(p), "r"(v) : "memory");
}
// Spins until done() holds; it is asked again and again.
template <typename Done>
__device__ __forceinline__ void wait_until(const Done& done) {
  while (!done()) {
  }
}

__device__ __forceinline__ void wait_for_predecessor() {
  OCTET_SM90_OR_NOTHING(asm volatile("griddepcontrol.wait;\n" ::: "memory"));
}
__device__ __forceinline__ void let_successor_start() {
  OCTET_SM90_OR_NOTHING(asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory"));
}
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace octet::cuda

#endif
