// What the device benches share: a back end, medians, and one line a result.
//
// A line is KEY <tab> VALUE <tab> UNIT <tab> SHARE, the share of a ceiling measured in the same run
// (empty where there is none). bench/device_table.py makes tables of them.
#pragma once

#include <algorithm>
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

// Median seconds of one run of `operations`, queued as a recorded step; several at a time between
// two waits.
double seconds(Bench& bench, const std::function<void()>& operations);

void report(const std::string& key, double value, const char* unit, double ceiling = 0);

Tensor random_floats(Bench& bench, Shape shape, float spread = 1.0f);  // on the device
Tensor int32s(Bench& bench, const std::vector<int32_t>& values, Shape shape);

void measure_ceilings(Bench& bench);
void measure_linear(Bench& bench);
void measure_attention(Bench& bench);
void measure_step(Bench& bench);  // one rank of gpt3-175b at tp 8, without its reduces

}  // namespace octet::bench
