#include "runtime/formats/safetensors_folder.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr std::string_view kExtension = ".safetensors";

}  // namespace

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

SafetensorsFolder::SafetensorsFolder(const std::filesystem::path& folder) : folder_(folder) {
  const std::filesystem::path index = folder / kSafetensorsIndex;
  if (std::filesystem::exists(index)) {
    open_indexed(index);
  } else {
    open_single();
  }
}

void SafetensorsFolder::open_indexed(const std::filesystem::path& index) {
  const nlohmann::json json = read_json_file(index);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object()) {
    throw InputError(fmt::format("{}: weight_map is not an object", index.string()));
  }
  for (const auto& [tensor, file] : map->items()) {
    const std::string what = fmt::format("{}: weight_map: {}", index.string(), printable(tensor));
    if (!file.is_string()) throw InputError(what + " is not mapped to a file name");
    const auto& name = file.get_ref<const std::string&>();
    if (!is_plain_file_name(name) || !name.ends_with(kExtension)) {
      throw InputError(fmt::format("{} is in {}, not a {} file of this folder", what,
                                   printable(name), kExtension));
    }
    auto& opened = files_[name];
    if (!opened) {
      if (!std::filesystem::exists(folder_ / name)) {
        throw InputError(fmt::format("{} is in {}, which is missing", what, printable(name)),
                         ErrorCode::kNotFound);
      }
      opened = std::make_unique<SafetensorsFile>(folder_ / name);
    }
    const SafetensorsEntry* entry = opened->find(tensor);
    if (entry == nullptr) {
      throw InputError(fmt::format("{} is not in {}", what, printable(name)));
    }
    tensors_[tensor] = {.file = opened.get(), .entry = entry};
  }
}

void SafetensorsFolder::open_single() {
  std::vector<std::filesystem::path> found;
  for (const auto& item : std::filesystem::directory_iterator(folder_)) {
    if (item.path().extension() == kExtension) found.push_back(item.path());
  }
  std::ranges::sort(found);
  if (found.empty()) {
    throw InputError(fmt::format("{}: no {} file", folder_.string(), kExtension),
                     ErrorCode::kNotFound);
  }
  if (found.size() > 1) {
    throw InputError(fmt::format("{}: {} {} files, but no {}", folder_.string(), found.size(),
                                 kExtension, kSafetensorsIndex));
  }
  auto& file = files_[found[0].filename().string()];
  file = std::make_unique<SafetensorsFile>(found[0]);
  for (const SafetensorsEntry& entry : file->entries()) {
    tensors_[entry.name] = {.file = file.get(), .entry = &entry};
  }
}

}  // namespace octet
