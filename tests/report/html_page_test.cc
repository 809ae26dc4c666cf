#include "runtime/report/html_page.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octet {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(HtmlPage, TextFromOutsideCannotBecomeMarkup) {
  HtmlPage page("a<b>", "\"&'");
  page.heading("<script>");
  page.table({{"<i>"}, {{"</table>"}}});
  page.plot({.title = "<svg>", .x_label = "<", .y_label = ">", .series = {{"</svg>", {{1, 1}}}}});
  page.data(R"({"text": "</script><script>alert(1)</script>"})");
  const std::string text = page.text();
  for (const char* markup : {"<b>", "<i>", "</table></td>", "<script>", "alert(1)</script><"}) {
    EXPECT_FALSE(has(text, markup)) << markup;
  }
  EXPECT_TRUE(has(text, "a&lt;b&gt;"));
}

TEST(HtmlPage, LoadsNothingFromAnywhere) {
  HtmlPage page("t", "s");
  page.plot({.title = "p", .series = {{"one", {{1, 2}, {2, 3}}}}});
  for (const char* part : {"http:", "https:", "src=", "@import", "url("}) {
    EXPECT_FALSE(has(page.text(), part)) << part;
  }
}

TEST(HtmlPage, ColumnsOfNumbersStandRight) {
  HtmlPage page("t", "s");
  page.table({{"name", "rate"}, {{"one", "1.5"}, {"two", "-"}}});
  EXPECT_TRUE(has(page.text(), "<td>one</td><td class='n'>1.5</td>"));
}

TEST(LinePlot, WhatHasNoPlaceIsLeftOut) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const LinePlot plot{.title = "t",
                      .series = {{"s", {{1, 10}, {2, nan}, {3, 0}, {4, 1000}}}},
                      .limits = {{"floor", 0}},
                      .y_scale = Scale::kLog};
  const std::string svg = to_svg(plot);
  EXPECT_FALSE(has(svg, "nan"));
  EXPECT_FALSE(has(svg, "inf"));
  EXPECT_FALSE(has(svg, "floor"));
  size_t marks = 0;
  for (size_t at = svg.find("<circle"); at != std::string::npos; at = svg.find("<circle", at + 1)) {
    ++marks;
  }
  EXPECT_EQ(marks, 2);
}

TEST(LinePlot, AnEmptyPlotIsStillDrawn) {
  EXPECT_TRUE(has(to_svg({.title = "nothing"}), "</svg>"));
}

}  // namespace
}  // namespace octet
