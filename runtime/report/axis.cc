#include "runtime/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include <utility>

namespace octet {
namespace {

constexpr int kSteps = 5;  // aimed at between the ends of a linear axis

double round_step(double span) {
  const double raw = span / kSteps;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (raw <= factor * power * (1 + 1e-9)) return factor * power;
  }
  return 10 * power;
}

}  // namespace

Axis::Axis(Scale scale, double low, double high, double first_pixel, double last_pixel)
    : scale_(scale), first_pixel_(first_pixel), last_pixel_(last_pixel) {
  if (scale == Scale::kLinear) {
    lay_linear(low, high);
  } else {
    lay_log(low, high);
  }
}

void Axis::lay_linear(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high)) std::tie(low, high) = std::pair(0.0, 1.0);
  if (high <= low) high = low + std::max(std::abs(low), 1.0);
  const double step = round_step(high - low);
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last; ++i) ticks_.push_back(i * step);
  low_ = ticks_.front();
  high_ = ticks_.back();
}

void Axis::lay_log(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high) || high <= 0) low = 1, high = 10;
  if (low <= 0) low = high / 1000;
  const double first = std::floor(std::log10(low) + 1e-9);
  const double last = std::max(std::ceil(std::log10(high) - 1e-9), first + 1);
  const bool few = last - first <= 3;
  const double every = std::max(1.0, std::ceil((last - first) / 8));
  for (double decade = first; decade <= last; decade += every) {
    const double power = std::pow(10, decade);
    ticks_.push_back(power);
    if (few && decade < last) ticks_.insert(ticks_.end(), {2 * power, 5 * power});
  }
  // The nearest ticks around the range, not whole decades.
  while (ticks_.size() > 2 && ticks_[1] <= low * (1 + 1e-9)) ticks_.erase(ticks_.begin());
  while (ticks_.size() > 2 && ticks_[ticks_.size() - 2] >= high * (1 - 1e-9)) ticks_.pop_back();
  low_ = std::log10(ticks_.front());
  high_ = std::log10(std::max(ticks_.back(), high));
}

bool Axis::holds(double value) const {
  return std::isfinite(value) && (scale_ == Scale::kLinear || value > 0);
}

double Axis::pixel(double value) const {
  const double place = scale_ == Scale::kLog ? std::log10(value) : value;
  return std::lerp(first_pixel_, last_pixel_, (place - low_) / (high_ - low_));
}

std::string tick_text(double value) {
  constexpr std::array<std::pair<double, const char*>, 4> kUnits{
      {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, "k"}}};
  for (const auto& [size, unit] : kUnits) {
    const double divisor = size == 1e4 ? 1e3 : size;
    if (std::abs(value) >= size) return fmt::format("{:.4g}{}", value / divisor, unit);
  }
  return fmt::format("{:.4g}", value);
}

}  // namespace octet
