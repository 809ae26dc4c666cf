#include <fmt/format.h>

#include <chrono>
#include <functional>
#include <optional>

#include "runtime/bench/csv_reader.h"
#include "runtime/bench/length_distribution.h"
#include "runtime/bench/numbers.h"
#include "runtime/bench/trace.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

struct Form {
  std::vector<std::string> columns;  // time, input tokens, output tokens
  std::optional<double> (*seconds)(const std::string& text);
  const char* time_rule;
  int least_output;  // a row with less is malformed; with 0 it is passed over
};

// "2023-11-16 18:17:03.9799600", with or without a zone of +00:00; seconds since 1970.
std::optional<double> seconds_of_date(const std::string& text) {
  std::string_view rest = text;
  for (const std::string_view zone : {"+00:00", "Z"}) {
    if (rest.ends_with(zone)) rest.remove_suffix(zone.size());
  }
  if (rest.size() < 19 || rest[4] != '-' || rest[7] != '-' ||
      (rest[10] != ' ' && rest[10] != 'T') || rest[13] != ':' || rest[16] != ':') {
    return {};
  }
  const auto year = parse_whole(rest.substr(0, 4)), month = parse_whole(rest.substr(5, 2)),
             day = parse_whole(rest.substr(8, 2)), hour = parse_whole(rest.substr(11, 2)),
             minute = parse_whole(rest.substr(14, 2));
  const auto second = parse_number(rest.substr(17));
  if (!year || !month || !day || !hour || !minute || !second) return {};
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour < 0 || *hour > 23 || *minute < 0 || *minute > 59 || *second < 0 ||
      *second >= 61) {
    return {};
  }
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return ((days * 24.0 + static_cast<double>(*hour)) * 60 + static_cast<double>(*minute)) * 60 +
         *second;
}

std::optional<double> plain_seconds(const std::string& text) { return parse_number(text); }

int tokens_of(const std::string& text, const std::string& place, const std::string& column,
              int least) {
  const std::optional<int64_t> tokens = parse_whole(text);
  if (!tokens || *tokens < least || *tokens > kMostTokens) {
    throw InputError(fmt::format("{}: {} is {}, must be a whole number from {} to {}", place,
                                 column, printable(text), least, kMostTokens));
  }
  return static_cast<int>(*tokens);
}

// The row, its time as the file has it.
TraceRow row_of(const std::vector<std::string>& fields, const CsvReader& csv, const Form& form) {
  const std::optional<double> seconds = form.seconds(fields[0]);
  if (!seconds) {
    throw InputError(fmt::format("{}: {} is {}, must be {}", csv.place(), form.columns[0],
                                 printable(fields[0]), form.time_rule));
  }
  return {.at = *seconds,
          .input_tokens = tokens_of(fields[1], csv.place(), form.columns[1], 1),
          .output_tokens = tokens_of(fields[2], csv.place(), form.columns[2], form.least_output)};
}

Trace read_csv_trace(const std::filesystem::path& path, size_t most, Malformed malformed,
                     const Form& form) {
  CsvReader csv(path, form.columns);
  Trace trace;
  std::vector<std::string> fields;
  std::optional<double> first;
  while (trace.rows.size() < most) {
    try {
      if (!csv.next(fields)) break;
      TraceRow row = row_of(fields, csv, form);
      if (row.output_tokens == 0) continue;
      const double at = row.at - first.value_or(row.at);
      if (!trace.rows.empty() && at < trace.rows.back().at) {
        throw InputError(fmt::format("{}: {} is {}, before the line above it", csv.place(),
                                     form.columns[0], printable(fields[0])));
      }
      if (!first) first = row.at;
      row.at = at;
      trace.rows.push_back(std::move(row));
    } catch (const InputError& error) {
      if (malformed == Malformed::kRefuse) throw;
      if (trace.left_out++ == 0) trace.first_fault = error.what();
    }
  }
  if (trace.rows.empty()) {
    throw InputError(fmt::format("{}: has no request{}{}", path.string(),
                                 trace.left_out > 0 ? "; " : "", trace.first_fault));
  }
  return trace;
}

}  // namespace

Trace read_azure_trace(const std::filesystem::path& path, size_t most, Malformed malformed) {
  return read_csv_trace(path, most, malformed,
                        {.columns = {"TIMESTAMP", "ContextTokens", "GeneratedTokens"},
                         .seconds = seconds_of_date,
                         .time_rule = "YYYY-MM-DD HH:MM:SS",
                         .least_output = 1});
}

Trace read_burstgpt_trace(const std::filesystem::path& path, size_t most, Malformed malformed) {
  return read_csv_trace(path, most, malformed,
                        {.columns = {"Timestamp", "Request tokens", "Response tokens"},
                         .seconds = plain_seconds,
                         .time_rule = "a number of seconds",
                         .least_output = 0});
}

}  // namespace octet
