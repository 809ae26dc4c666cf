// Grid: a quantity known at the points of a grid, and in between and beyond by straight lines. A
// value; any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace octet {

struct GridAxis {
  std::string name;        // "rows"
  std::vector<double> at;  // ascending, at least one
};

// A list of coordinates as an axis wants them.
template <typename T>
std::vector<double> doubles(const T& values) {
  return {std::begin(values), std::end(values)};
}

class Grid {
 public:
  // REQUIRES: as many values as points, the last axis fastest.
  Grid(std::vector<GridAxis> axes, std::vector<double> values);

  // Linear along each axis in turn; beyond an axis's ends by its outermost two points, but never
  // below zero nor below the share of the first value that the first point is of. An axis of one
  // point is flat. REQUIRES: one coordinate an axis.
  double value(std::span<const double> point) const;

  const std::vector<GridAxis>& axes() const { return axes_; }
  const std::vector<double>& values() const { return values_; }

 private:
  double value(std::span<const double> point, size_t axis, size_t first, size_t count) const;

  std::vector<GridAxis> axes_;
  std::vector<double> values_;
};

}  // namespace octet
