// CsvReader: a CSV file line by line, its columns found by their names in the first line. Fields in
// double quotes may hold commas, but no line ends. One thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace octet {

class CsvReader {
 public:
  // Throws InputError where the file cannot be read or lacks one of `columns`.
  CsvReader(const std::filesystem::path& path, const std::vector<std::string>& columns);

  // The next line that is not empty, its fields in the order of `columns`; false at the end. A line
  // of fewer fields than the first throws InputError, and the next call goes on after it.
  bool next(std::vector<std::string>& fields);

  std::string place() const;  // FILE:LINE of what next() gave last

 private:
  bool read_line(std::vector<std::string>& fields);

  std::filesystem::path path_;
  std::ifstream in_;
  size_t line_ = 0;
  size_t width_ = 0;
  std::vector<size_t> places_;  // of the columns asked for
};

}  // namespace octet
