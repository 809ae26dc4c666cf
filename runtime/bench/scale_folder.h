// ScaleFolder: the results of `octet scale`, a file a cell, so that what was measured is kept and
// an interrupted run goes on where it stood. One thread, one process.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/bench/scale_grid.h"

namespace octet {

class ScaleFolder {
 public:
  // Makes the folder, or opens one of the same settings; throws InputError naming the first setting
  // that differs, or a file that cannot be read or written.
  ScaleFolder(const std::filesystem::path& path, const nlohmann::ordered_json& settings);

  bool has(const ScaleCell& cell) const;
  void save(const ScaleCell& cell, nlohmann::ordered_json result) const;
  nlohmann::json load(const ScaleCell& cell) const;  // REQUIRES has(cell)

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path file_of(const ScaleCell& cell) const;

 private:
  std::filesystem::path path_;
};

}  // namespace octet
