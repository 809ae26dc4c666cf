// HtmlPage: one self-contained report, light and dark after the reader's setting, that loads
// nothing from anywhere. All text given to it is escaped. One thread.
//
//   HtmlPage page("octet bench serve", "SmolLM2 on 2 ranks");
//   page.figures({{"output", "612", "tokens/s"}});
//   page.heading("Latency");
//   page.plot({.title = "TTFT by rate", ...});
//   write_text_file("report.html", page.text());
#pragma once

#include <string>
#include <vector>

#include "runtime/report/line_plot.h"

namespace octet {

// One number that is read first, large.
struct Figure {
  std::string name, value, unit;
};

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as columns; numbers stand right
};

class HtmlPage {
 public:
  HtmlPage(const std::string& title, const std::string& subtitle);

  void heading(const std::string& text);
  void paragraph(const std::string& text);
  void figures(const std::vector<Figure>& figures);
  void plot(const LinePlot& plot);  // plots in a row stand side by side where there is room
  void table(const Table& table);
  void data(const std::string& json);  // the figures for programs: <script type=application/json>

  std::string text() const;

 private:
  void add(const std::string& html);  // ends an open row of plots

  std::string title_, head_, body_;
  bool in_plots_ = false;
};

}  // namespace octet
