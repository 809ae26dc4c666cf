#include "bench/limits.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "bench/limit_loops.h"
#include "bench/reporter.h"
#include "kernels/cpu/host_memory.h"
#include "runtime/request/error.h"

namespace octet::bench {
namespace {

constexpr int kRounds = 1'000'000;

using Memory = std::shared_ptr<std::byte>;

// Huge pages where the kernel gives them, all touched.
Memory touched_memory(size_t bytes) {
  constexpr size_t kHuge = size_t{2} << 20;
  bytes = (bytes + kHuge - 1) / kHuge * kHuge;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kHuge, bytes));
  if (memory == nullptr) throw std::bad_alloc();
  madvise(memory, bytes, MADV_HUGEPAGE);
  std::memset(memory, 1, bytes);
  return {memory, [](std::byte* m) { std::free(m); }};
}

size_t cache_bytes(int name, size_t otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<size_t>(bytes) : otherwise;
}

// Each thread reads its own `bytes` of one buffer, again and again.
void add_read(const std::string& name, int threads, size_t bytes) {
  bytes = bytes / 4096 * 4096;
  const Memory memory = touched_memory(bytes * threads + 4096);
  add_benchmark(name, [memory, bytes](benchmark::State& state) {
    const std::byte* own = memory.get() + bytes * state.thread_index();
    for (auto _ : state) benchmark::DoNotOptimize(read_streams(own, bytes));
    set_work(state, {.bytes = static_cast<double>(bytes)});
  })->Threads(threads);
}

void add_compute(const std::string& name, int threads, double (*loop)(int)) {
  add_benchmark(name, [loop](benchmark::State& state) {
    double ops = 0;
    for (auto _ : state) ops = loop(kRounds);
    set_work(state, {.ops = ops});
  })->Threads(threads);
}

size_t last_level_cache() { return cache_bytes(_SC_LEVEL3_CACHE_SIZE, 16 << 20); }

}  // namespace

int64_t bytes_beyond_caches() {
  const size_t bytes = std::max(size_t{512} << 20, 3 * last_level_cache());
  if (const size_t available = cpu::available_host_memory(); available < bytes) {
    throw InputError(fmt::format(
        "reads from memory are measured with {} MiB, more than caches hold; {} MiB are available",
        bytes >> 20, available >> 20));
  }
  return static_cast<int64_t>(bytes);
}

double Limits::seconds(double bytes, double int8_ops, double f32_ops) const {
  return std::max(bytes / read, int8_ops / int8 + f32_ops / f32);
}

Limits measure_limits(int threads) {
  const auto named = [&](const char* what) { return fmt::format("limit/{}/{}t", what, threads); };
  add_read(named("read"), threads, bytes_beyond_caches() / threads);
  add_read(named("l3_read"), threads, last_level_cache() / 4 / threads);
  add_read(named("l2_read"), threads, cache_bytes(_SC_LEVEL2_CACHE_SIZE, 1 << 20) / 2);
  const std::string int8 = fmt::format("int8 {}", int8_instruction());
  add_compute(named(int8.c_str()), threads, int8_multiply_adds);
  add_compute(named("f32"), threads, float_multiply_adds);
  Reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter, "^limit/");
  benchmark::ClearRegisteredBenchmarks();
  return {.read = reporter.bytes_per_second(named("read")),
          .l2 = reporter.bytes_per_second(named("l2_read")),
          .l3 = reporter.bytes_per_second(named("l3_read")),
          .int8 = reporter.ops_per_second(named(int8.c_str())),
          .f32 = reporter.ops_per_second(named("f32"))};
}

}  // namespace octet::bench
