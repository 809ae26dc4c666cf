// Axis: a range of numbers laid onto a range of pixels, with round ticks. Plain values.
#pragma once

#include <string>
#include <vector>

namespace octet {

enum class Scale { kLinear, kLog };

class Axis {
 public:
  // Covers [low, high], widened to round ticks. kLog: what is not above 0 has no place; with no
  // range above 0 the axis is 1 to 10.
  Axis(Scale scale, double low, double high, double first_pixel, double last_pixel);

  bool holds(double value) const;    // finite, and above 0 on a log axis
  double pixel(double value) const;  // REQUIRES holds(value)
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  void lay_linear(double low, double high);
  void lay_log(double low, double high);

  Scale scale_;
  double first_pixel_, last_pixel_;
  double low_ = 0, high_ = 1;  // of the axis; their logarithms on a log axis
  std::vector<double> ticks_;
};

std::string tick_text(double value);  // 1500000 is "1.5M", 0.002 is "0.002"

}  // namespace octet
