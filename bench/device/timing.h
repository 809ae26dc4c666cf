// What the device benches share: a back end, medians, and one line a result.
//
// A line is KEY <tab> VALUE <tab> UNIT <tab> SHARE, the share of a ceiling measured in the same run
// (empty where there is none). bench/device_table.py makes tables of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace octet::bench {

struct Bench {
  std::unique_ptr<Backend> backend;
  std::vector<int> only;  // numbers of rows to measure; all where it is empty
  double read_gb_s = 0;   // ceilings
  double int8_tops = 0;
  double link_gb_s = 0;

  bool wants(int rows) const { return only.empty() || std::ranges::find(only, rows) != only.end(); }
};

// int8 products: GPT-3's over 8 ranks, with these rows, each on other weights than the last, so
// that they come from memory.
struct ProductShape {
  int64_t out, in;
};
inline constexpr ProductShape kProductShapes[] = {
    {4608, 12288}, {12288, 1536}, {6144, 12288}, {12288, 6144}};
inline constexpr int64_t kProductRows[] = {1, 2, 4, 8, 16, 32, 64, 2048};
inline constexpr int64_t kFewestWeightBytes = int64_t{400} << 20;  // in turn: several L2 caches

// Median seconds of one run of `operations`, queued as a recorded step; several at a time between
// two waits.
double seconds(Bench& bench, const std::function<void()>& operations);

void report(const std::string& key, double value, const char* unit, double ceiling = 0);

// A product's time, and its share of a ceiling: memory read up to 64 rows, int8 products beyond.
void report_product(const Bench& bench, const std::string& key, int64_t n,
                    const ProductShape& shape, double time);

Tensor random_floats(Bench& bench, Shape shape, float spread = 1.0f);  // on the device
Tensor int32s(Bench& bench, const std::vector<int32_t>& values, Shape shape);

void measure_ceilings(Bench& bench);
void measure_linear(Bench& bench);
void measure_attention(Bench& bench);
void measure_yardstick(Bench& bench);  // cuBLASLt's int8 products
void measure_step(Bench& bench);       // one rank of gpt3-175b at tp 8, without its reduces

}  // namespace octet::bench
