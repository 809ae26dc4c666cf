// What `octet scale` tells of its cells: a table, a CSV, one HTML page.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/bench/scale_grid.h"

namespace octet {

// The figures of one measured cell.
struct ScaleRow {
  ScaleCell cell;
  double requests_per_second = 0, output_tokens_per_second = 0;
  double ttft_p50 = 0, ttft_p99 = 0, tpot_p50 = 0, tpot_p99 = 0;  // ms
  int64_t completed = 0, failed = 0;
};

// Throws InputError naming `source` and the field that is missing or no number.
ScaleRow scale_row(const ScaleCell& cell, const nlohmann::json& result, const std::string& source);

// The most that a group did at any load, and its share of what as many ranks would do if each did
// what a rank of the smallest group does.
struct ScalePoint {
  ScaleGroup group;
  double output_tokens_per_second = 0;
  double efficiency = 0;
};
std::vector<ScalePoint> scale_points(const std::vector<ScaleRow>& rows);  // by ranks

std::string scale_text(const std::vector<ScaleRow>& rows);
std::string scale_csv(const std::vector<ScaleRow>& rows);
std::string scale_html(const std::vector<ScaleRow>& rows, const nlohmann::ordered_json& settings);

}  // namespace octet
