#include "bench/device/timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <vector>

namespace octet::bench {
namespace {

double run_once(Backend& backend, uint64_t key, const std::function<void()>& operations,
                int times) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) backend.replay(key, operations);
  backend.synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / times;
}

}  // namespace

double seconds(Bench& bench, const std::function<void()>& operations) {
  static uint64_t key = 0;
  ++key;
  run_once(*bench.backend, key, operations, 3);  // runs, records, replays
  const double once = run_once(*bench.backend, key, operations, 1);
  const int times = std::clamp(static_cast<int>(0.01 / once), 1, 200);
  std::vector<double> rounds;
  for (int i = 0; i < 7; ++i) rounds.push_back(run_once(*bench.backend, key, operations, times));
  std::ranges::nth_element(rounds, rounds.begin() + 3);
  return rounds[3];
}

void report(const std::string& key, double value, const char* unit, double ceiling) {
  const std::string share = ceiling > 0 ? fmt::format("{:.3f}", value / ceiling) : "";
  fmt::print("{}\t{:.4g}\t{}\t{}\n", key, value, unit, share);
  std::fflush(stdout);
}

void report_product(const Bench& bench, const std::string& key, int64_t n,
                    const ProductShape& shape, double time) {
  const double products = static_cast<double>(shape.out * shape.in);
  report(key + ".us", time * 1e6, "us");
  if (n > 64) {
    report(key, 2 * static_cast<double>(n) * products / time / 1e12, "TOPS", bench.int8_tops);
  } else {
    report(key, products / time / 1e9, "GB/s", bench.read_gb_s);
  }
}

Tensor random_floats(Bench& bench, Shape shape, float spread) {
  static std::mt19937 generator(1);
  std::normal_distribution<float> normal(0, spread);
  const Tensor host = Tensor::host(DType::kF32, shape);
  for (float& x : host.span<float>()) x = normal(generator);
  const Tensor device = bench.backend->allocate(DType::kF32, shape);
  bench.backend->upload(host, device);
  return device;
}

Tensor int32s(Bench& bench, const std::vector<int32_t>& values, Shape shape) {
  const Tensor device = bench.backend->allocate(DType::kI32, shape);
  bench.backend->upload(Tensor::view(const_cast<int32_t*>(values.data()), DType::kI32, shape),
                        device);
  return device;
}

}  // namespace octet::bench
