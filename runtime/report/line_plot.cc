#include "runtime/report/line_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace octet {
namespace {

constexpr double kWidth = 640, kHeight = 320;
constexpr double kLeft = 62, kRight = 16, kTop = 20, kBottom = 44;
constexpr size_t kMostPoints = 200;  // marks of one series; a line takes more

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

bool has_place(Scale scale, double value) {
  return std::isfinite(value) && (scale == Scale::kLinear || value > 0);
}

std::pair<Axis, Axis> axes_of(const LinePlot& plot) {
  Range x, y;
  for (const Series& series : plot.series) {
    for (const auto& [px, py] : series.points) {
      if (!has_place(plot.x_scale, px) || !has_place(plot.y_scale, py)) continue;
      x.add(px);
      y.add(py);
    }
  }
  for (const Limit& limit : plot.limits) {
    if (has_place(plot.y_scale, limit.y)) y.add(limit.y);
  }
  if (plot.y_scale == Scale::kLinear && y.low > 0) y.low = 0;  // a share of the whole is seen
  if (plot.x_scale == Scale::kLinear && x.low > 0 && x.low < x.high / 2) x.low = 0;
  return {Axis(plot.x_scale, x.low, x.high, kLeft, kWidth - kRight),
          Axis(plot.y_scale, y.low, y.high, kHeight - kBottom, kTop)};
}

std::string grid(const LinePlot& plot, const Axis& x, const Axis& y) {
  std::string svg;
  for (const double tick : y.ticks()) {
    svg += fmt::format(
        "<line class='grid' x1='{:.1f}' x2='{:.1f}' y1='{:.1f}' y2='{:.1f}'/>"
        "<text class='tick' text-anchor='end' x='{:.1f}' y='{:.1f}'>{}</text>",
        kLeft, kWidth - kRight, y.pixel(tick), y.pixel(tick), kLeft - 7, y.pixel(tick) + 4,
        tick_text(tick));
  }
  for (const double tick : x.ticks()) {
    svg += fmt::format("<text class='tick' text-anchor='middle' x='{:.1f}' y='{:.1f}'>{}</text>",
                       x.pixel(tick), kHeight - kBottom + 17, tick_text(tick));
  }
  svg += fmt::format("<line class='axis' x1='{0:.1f}' x2='{1:.1f}' y1='{2:.1f}' y2='{2:.1f}'/>",
                     kLeft, kWidth - kRight, kHeight - kBottom);
  svg += fmt::format("<text class='label' text-anchor='middle' x='{:.1f}' y='{:.1f}'>{}</text>",
                     (kLeft + kWidth - kRight) / 2, kHeight - 6, escape_html(plot.x_label));
  const double middle = (kTop + kHeight - kBottom) / 2;
  return svg + fmt::format(
                   "<text class='label' text-anchor='middle' x='13' y='{0:.1f}' "
                   "transform='rotate(-90 13 {0:.1f})'>{1}</text>",
                   middle, escape_html(plot.y_label));
}

std::string drawn(const Series& series, int color, const Axis& x, const Axis& y) {
  std::string line, marks;
  const size_t every = series.points.size() / kMostPoints + 1;
  for (size_t i = 0; i < series.points.size(); ++i) {
    const auto& [px, py] = series.points[i];
    if (!x.holds(px) || !y.holds(py)) continue;
    line += fmt::format("{}{:.1f},{:.1f}", line.empty() ? "" : " ", x.pixel(px), y.pixel(py));
    if (i % every != 0) continue;
    marks += fmt::format(
        "<circle class='mark s{}' cx='{:.1f}' cy='{:.1f}' r='3.5'><title>{}: {:.5g}, "
        "{:.5g}</title></circle>",
        color, x.pixel(px), y.pixel(py), escape_html(series.name), px, py);
  }
  std::string svg;
  if (series.mark != Mark::kPoints && !line.empty()) {
    svg = fmt::format("<polyline class='line s{}{}' points='{}'/>", color,
                      series.mark == Mark::kDashed ? " dashed" : "", line);
  }
  const bool marked = series.mark == Mark::kPoints || series.mark == Mark::kLineAndPoints;
  return marked ? svg + marks : svg;
}

}  // namespace

std::string to_svg(const LinePlot& plot) {
  const auto [x, y] = axes_of(plot);
  std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='{}'>", kWidth,
                                kHeight, escape_html(plot.title));
  svg += grid(plot, x, y);
  for (const Limit& limit : plot.limits) {
    if (!y.holds(limit.y)) continue;
    svg += fmt::format(
        "<line class='limit' x1='{0:.1f}' x2='{1:.1f}' y1='{2:.1f}' y2='{2:.1f}'/>"
        "<text class='limit-name' text-anchor='end' x='{1:.1f}' y='{3:.1f}'>{4}</text>",
        kLeft, kWidth - kRight, y.pixel(limit.y), y.pixel(limit.y) - 5, escape_html(limit.name));
  }
  for (size_t i = 0; i < plot.series.size(); ++i) {
    svg += drawn(plot.series[i], static_cast<int>(i % kMaxSeries), x, y);
  }
  return svg + "</svg>";
}

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return out;
}

}  // namespace octet
