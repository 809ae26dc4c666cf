// LinePlot: a plot as data, and its drawing as one inline SVG. Colours, widths and fonts are
// classes of HtmlPage's style sheet, so that one drawing serves light and dark.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/report/axis.h"

namespace octet {

enum class Mark { kLine, kPoints, kLineAndPoints, kDashed };

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // (x, y); what an axis cannot hold is left out
  Mark mark = Mark::kLineAndPoints;
};

// A limit that the plot is read against: a dashed line across, with its name.
struct Limit {
  std::string name;
  double y = 0;
};

struct LinePlot {
  std::string title, x_label, y_label;
  std::vector<Series> series;  // at most kMaxSeries have colours of their own
  std::vector<Limit> limits = {};
  Scale x_scale = Scale::kLinear, y_scale = Scale::kLinear;
};

constexpr int kMaxSeries = 8;

std::string to_svg(const LinePlot& plot);

// & < > " ' as entities; control characters become spaces.
std::string escape_html(const std::string& text);

}  // namespace octet
