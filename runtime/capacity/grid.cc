#include "runtime/capacity/grid.h"

#include <algorithm>
#include <utility>

#include "kernels/check.h"

namespace octet {

Grid::Grid(std::vector<GridAxis> axes, std::vector<double> values)
    : axes_(std::move(axes)), values_(std::move(values)) {
  size_t points = 1;
  for (const GridAxis& axis : axes_) points *= axis.at.size();
  OCTET_CHECK(points == values_.size() && points > 0, "{} points, {} values", points,
              values_.size());
}

double Grid::value(std::span<const double> point) const {
  OCTET_CHECK(point.size() == axes_.size(), "{} coordinates, {} axes", point.size(), axes_.size());
  return std::max(0.0, value(point, 0, 0, values_.size()));
}

// Of the `count` values from `first` on, which are those of the axes from `axis` on.
double Grid::value(std::span<const double> point, size_t axis, size_t first, size_t count) const {
  if (axis == axes_.size()) return values_[first];
  const std::vector<double>& at = axes_[axis].at;
  const size_t stride = count / at.size();
  if (at.size() == 1) return value(point, axis + 1, first, stride);
  const double x = point[axis];
  const auto above = std::upper_bound(at.begin() + 1, at.end() - 1, x);
  const auto high = static_cast<size_t>(above - at.begin());
  const double low_value = value(point, axis + 1, first + (high - 1) * stride, stride);
  const double high_value = value(point, axis + 1, first + high * stride, stride);
  const double share = (x - at[high - 1]) / (at[high] - at[high - 1]);
  const double line = low_value + share * (high_value - low_value);
  if (x >= at[0]) return line;
  return std::max(line, low_value * std::max(0.0, x / at[0]));
}

}  // namespace octet
