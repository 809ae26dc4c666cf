#include "runtime/bench/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/request/error.h"

namespace octet {

CsvReader::CsvReader(const std::filesystem::path& path, const std::vector<std::string>& columns)
    : path_(path), in_(path, std::ios::binary) {
  if (!in_ || std::filesystem::is_directory(path))
    throw InputError(fmt::format("{}: cannot be read", path.string()), ErrorCode::kNotFound);
  std::vector<std::string> names;
  if (!read_line(names)) throw InputError(fmt::format("{}: is empty", path.string()));
  if (names[0].starts_with("\xEF\xBB\xBF")) names[0].erase(0, 3);
  width_ = names.size();
  for (const std::string& column : columns) {
    const auto found = std::ranges::find(names, column);
    if (found == names.end()) {
      throw InputError(fmt::format("{}:{}: has no column '{}'", path.string(), line_, column));
    }
    places_.push_back(static_cast<size_t>(found - names.begin()));
  }
}

bool CsvReader::read_line(std::vector<std::string>& fields) {
  std::string line;
  do {
    if (!std::getline(in_, line)) return false;
    ++line_;
    if (line.ends_with('\r')) line.pop_back();
  } while (line.empty());
  fields.assign(1, "");
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return true;
}

bool CsvReader::next(std::vector<std::string>& fields) {
  std::vector<std::string> all;
  if (!read_line(all)) return false;
  if (all.size() < width_) {
    throw InputError(fmt::format("{}: has {} fields, must have {}", place(), all.size(), width_));
  }
  fields.clear();
  for (const size_t column : places_) fields.push_back(all[column]);
  return true;
}

std::string CsvReader::place() const { return fmt::format("{}:{}", path_.string(), line_); }

}  // namespace octet
