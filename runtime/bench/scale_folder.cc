#include "runtime/bench/scale_folder.h"

#include <fmt/format.h>

#include "runtime/bench/result_file.h"
#include "runtime/formats/json_text.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr const char* kSettings = "settings.json";

void require_same(const nlohmann::json& there, const nlohmann::json& now,
                  const std::filesystem::path& file) {
  if (!there.is_object()) throw InputError(fmt::format("{}: must be a JSON object", file.string()));
  nlohmann::json names = there;
  names.update(now);
  for (const auto& [name, value] : names.items()) {
    const nlohmann::json before = there.value(name, nlohmann::json());
    const nlohmann::json after = now.value(name, nlohmann::json());
    if (before == after) continue;
    throw InputError(
        fmt::format("{}: {} is {} there and {} now; results of both do not belong into one folder",
                    file.string(), name, before.dump(), after.dump()));
  }
}

}  // namespace

ScaleFolder::ScaleFolder(const std::filesystem::path& path, const nlohmann::ordered_json& settings)
    : path_(path) {
  std::error_code error;
  std::filesystem::create_directories(path_ / "cells", error);
  if (error) throw InputError(fmt::format("{}: {}", path_.string(), error.message()));
  const std::filesystem::path file = path_ / kSettings;
  if (std::filesystem::is_empty(path_ / "cells")) {
    replace_text_file(file, settings.dump(2) + "\n");
  } else if (!std::filesystem::exists(file)) {
    throw InputError(fmt::format("{}: is missing, of the cells that are there", file.string()));
  } else {
    require_same(read_json_file(file), nlohmann::json(settings), file);
  }
}

std::filesystem::path ScaleFolder::file_of(const ScaleCell& cell) const {
  return path_ / "cells" / (cell.file() + ".json");
}

bool ScaleFolder::has(const ScaleCell& cell) const {
  return std::filesystem::exists(file_of(cell));
}

void ScaleFolder::save(const ScaleCell& cell, nlohmann::ordered_json result) const {
  result["tensor_parallel_size"] = cell.group.tensor_parallel_size;
  result["replicas"] = cell.group.replicas;
  result["load"] = cell.load();
  replace_text_file(file_of(cell), result.dump(2) + "\n");
}

nlohmann::json ScaleFolder::load(const ScaleCell& cell) const {
  return read_json_file(file_of(cell));
}

}  // namespace octet
