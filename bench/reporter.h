// How octet_bench prints: one line a benchmark, with its median and spread over the repetitions,
// its rates, and the share of the least time that the machine's measured limits allow.
#pragma once

#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <vector>

namespace octet::bench {

inline constexpr int kRepetitions = 5;

// What one iteration moves and computes. least_seconds: by the limits; 0: is a limit itself.
struct Work {
  double bytes = 0;
  double ops = 0;
  double least_seconds = 0;
};

void set_work(benchmark::State& state, const Work& work);  // call after the state's loop

struct Row {
  std::string name;
  std::vector<double> seconds;  // of an iteration, one a repetition; not empty
  Work work;
  double tokens = 0;  // of an iteration; 0: not counted in tokens
};

void print_header();
void print_row(const Row& row);
double median(std::vector<double> values);

class Reporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override;

  // Medians of what ran so far.
  double bytes_per_second(const std::string& name) const { return rows_.at(name).bytes; }
  double ops_per_second(const std::string& name) const { return rows_.at(name).ops; }

 private:
  std::map<std::string, Work> rows_;  // per second
};

// Registers `body(state)`, timed by the clock on the wall, kRepetitions times.
template <typename Body>
benchmark::internal::Benchmark* add_benchmark(const std::string& name, Body body) {
  return benchmark::RegisterBenchmark(name.c_str(), body)
      ->UseRealTime()
      ->Repetitions(kRepetitions)
      ->MinTime(0.05);
}

}  // namespace octet::bench
