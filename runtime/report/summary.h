// Summary: what is said of many measurements of one thing. Percentiles are interpolated linearly
// between the two nearest ranks, so that of 1, 2, 3, 4 the 50th is 2.5. Plain values; any thread.
#pragma once

#include <cstddef>
#include <vector>

namespace octet {

class Summary {
 public:
  Summary() = default;
  explicit Summary(std::vector<double> values);  // in any order; finite

  size_t count() const { return sorted_.size(); }
  bool empty() const { return sorted_.empty(); }

  // All 0 where there is no value.
  double mean() const { return mean_; }
  double stddev() const { return stddev_; }  // of the values themselves, not an estimate
  double min() const { return percentile(0); }
  double median() const { return percentile(50); }
  double max() const { return percentile(100); }
  double percentile(double percent) const;  // percent in [0, 100]

  const std::vector<double>& sorted() const { return sorted_; }

 private:
  std::vector<double> sorted_;
  double mean_ = 0, stddev_ = 0;
};

}  // namespace octet
