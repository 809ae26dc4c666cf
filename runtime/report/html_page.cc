#include "runtime/report/html_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace octet {
namespace {

// Series colours are told apart in both themes and by the usual colour-blind eyes, in this order.
constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--page:#f9f9f7;--card:#fff;--ink:#111;--soft:#555;--faint:#e4e4e0;--edge:#b9b9b3;
--limit:#b3261e;--c0:#2a78d6;--c1:#d95a1e;--c2:#16946a;--c3:#b47a00;--c4:#c74d8a;--c5:#5b4bc4;--c6:#5f7f1d;--c7:#6b6b66}
@media(prefers-color-scheme:dark){:root{--page:#121211;--card:#1c1c1b;--ink:#f2f2ef;--soft:#b4b4ae;--faint:#32322f;
--edge:#5a5a55;--limit:#ff8a80;--c0:#5b9dee;--c1:#f0803f;--c2:#33c091;--c3:#e0ab2b;--c4:#ee82b5;--c5:#a598ff;
--c6:#a5c75a;--c7:#a3a39c}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1360px;padding:24px;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:24px;margin:0}h2{font-size:18px;margin:32px 0 8px}.sub,p{color:var(--soft);margin:4px 0 16px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:12px 0}
.figure,figure,.table{background:var(--card);border:1px solid var(--faint);border-radius:8px}
.figure{padding:10px 14px}.figure div{color:var(--soft);font-size:13px}.figure b{font-size:24px;font-weight:600}
.figure span{color:var(--soft);font-size:13px;margin-left:4px}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));gap:16px;margin:12px 0}
figure{margin:0;padding:12px}figcaption{font-weight:600;margin-bottom:4px}svg{display:block;width:100%;height:auto}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px;color:var(--soft);min-height:20px}
.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle;
background:currentColor}
.table{overflow-x:auto;margin:12px 0}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:5px 12px;text-align:left;border-bottom:1px solid var(--faint);white-space:nowrap}
th{color:var(--soft);font-weight:600}tr:last-child td{border-bottom:0}
.n{text-align:right;font-variant-numeric:tabular-nums}
.grid{stroke:var(--faint)}.axis{stroke:var(--edge)}.tick,.label,.limit-name{fill:var(--soft);font-size:12px}
.limit{stroke:var(--limit);stroke-dasharray:5 4}.limit-name{fill:var(--limit)}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.dashed{stroke-dasharray:6 5}
.mark{stroke:var(--card);stroke-width:1.5}
)";

std::string series_style() {
  std::string css;
  for (int i = 0; i < kMaxSeries; ++i) {
    css += fmt::format(
        ".line.s{0}{{stroke:var(--c{0})}}.mark.s{0}{{fill:var(--c{0})}}"
        ".legend .s{0} i{{color:var(--c{0})}}\n",
        i);
  }
  return css;
}

bool is_number(const std::string& text) {
  const auto digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  return text.empty() || text == "-" || digit(text[0]) ||
         (text[0] == '-' && text.size() > 1 && digit(text[1]));
}

std::string legend(const LinePlot& plot) {
  if (plot.series.size() < 2) return "";
  std::string html = "<div class='legend'>";
  for (size_t i = 0; i < plot.series.size(); ++i) {
    html += fmt::format("<span class='s{}'><i></i>{}</span>", i % kMaxSeries,
                        escape_html(plot.series[i].name));
  }
  return html + "</div>";
}

}  // namespace

HtmlPage::HtmlPage(const std::string& title, const std::string& subtitle)
    : title_(escape_html(title)),
      head_(
          fmt::format("<h1>{}</h1>\n<div class='sub'>{}</div>\n", title_, escape_html(subtitle))) {}

void HtmlPage::add(const std::string& html) {
  if (in_plots_) body_ += "</div>\n";
  in_plots_ = false;
  body_ += html;
}

void HtmlPage::heading(const std::string& text) {
  add(fmt::format("<h2>{}</h2>\n", escape_html(text)));
}

void HtmlPage::paragraph(const std::string& text) {
  add(fmt::format("<p>{}</p>\n", escape_html(text)));
}

void HtmlPage::figures(const std::vector<Figure>& figures) {
  std::string html = "<div class='figures'>";
  for (const Figure& figure : figures) {
    html +=
        fmt::format("<div class='figure'><div>{}</div><b>{}</b><span>{}</span></div>",
                    escape_html(figure.name), escape_html(figure.value), escape_html(figure.unit));
  }
  add(html + "</div>\n");
}

void HtmlPage::plot(const LinePlot& plot) {
  if (!in_plots_) body_ += "<div class='plots'>\n";
  in_plots_ = true;
  body_ += fmt::format("<figure><figcaption>{}</figcaption>{}{}</figure>\n",
                       escape_html(plot.title), legend(plot), to_svg(plot));
}

void HtmlPage::table(const Table& table) {
  std::vector<const char*> classes(table.columns.size(), "");
  std::string html = "<div class='table'><table><thead><tr>";
  for (size_t column = 0; column < table.columns.size(); ++column) {
    const bool numbers = !table.rows.empty() &&
                         std::ranges::all_of(table.rows, [&](const std::vector<std::string>& row) {
                           return is_number(row[column]);
                         });
    if (numbers) classes[column] = " class='n'";
    html += fmt::format("<th{}>{}</th>", classes[column], escape_html(table.columns[column]));
  }
  html += "</tr></thead><tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    html += "<tr>";
    for (size_t column = 0; column < table.columns.size(); ++column) {
      html += fmt::format("<td{}>{}</td>", classes[column], escape_html(row[column]));
    }
    html += "</tr>\n";
  }
  add(html + "</tbody></table></div>\n");
}

void HtmlPage::data(const std::string& json) {
  std::string safe;
  for (const char c : json) safe += c == '<' ? "\\u003c" : std::string(1, c);
  add("<script type='application/json' id='data'>" + safe + "</script>\n");
}

std::string HtmlPage::text() const {
  return fmt::format(
      "<!doctype html>\n<html lang='en'>\n<head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width,initial-scale=1'>"
      "<link rel='icon' href='data:,'><title>{}</title>\n<style>{}{}</style></head>\n"
      "<body>\n{}{}{}</body>\n</html>\n",
      title_, kStyle, series_style(), head_, body_, in_plots_ ? "</div>\n" : "");
}

}  // namespace octet
