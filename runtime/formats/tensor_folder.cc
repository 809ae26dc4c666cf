#include "runtime/formats/tensor_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/formats/safetensors_file.h"
#include "runtime/formats/safetensors_folder.h"
#include "runtime/formats/torch_file.h"
#include "runtime/request/error.h"

namespace octet {
namespace fs = std::filesystem;

const TensorFormat kSafetensorsFormat = {
    .name = "safetensors",
    .index = kSafetensorsIndex,
    .prefix = "",
    .extension = ".safetensors",
    .open = [](const fs::path& path) -> std::unique_ptr<TensorFile> {
      return std::make_unique<SafetensorsFile>(path);
    },
};
const TensorFormat kTorchFormat = {
    .name = "torch",
    .index = "pytorch_model.bin.index.json",
    .prefix = "pytorch_model",
    .extension = ".bin",
    .open = [](const fs::path& path) -> std::unique_ptr<TensorFile> {
      return std::make_unique<TorchFile>(path);
    },
};

namespace {

std::vector<fs::path> files_of(const fs::path& folder, const TensorFormat& format) {
  std::vector<fs::path> found;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string name = item.path().filename().string();
    if (name.starts_with(format.prefix) && item.path().extension() == format.extension) {
      found.push_back(item.path());
    }
  }
  std::ranges::sort(found);
  return found;
}

const TensorFormat& format_of(const fs::path& folder) {
  for (const TensorFormat* format : {&kSafetensorsFormat, &kTorchFormat}) {
    if (fs::exists(folder / format->index) || !files_of(folder, *format).empty()) return *format;
  }
  throw InputError(
      fmt::format("{}: no {} file and no {}*{}", folder.string(), kSafetensorsFormat.extension,
                  kTorchFormat.prefix, kTorchFormat.extension),
      ErrorCode::kNotFound);
}

}  // namespace

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

TensorFolder::TensorFolder(const fs::path& folder) : TensorFolder(folder, format_of(folder)) {}

TensorFolder::TensorFolder(const fs::path& folder, const TensorFormat& format)
    : folder_(folder), format_(&format) {
  const fs::path index = folder / format.index;
  if (fs::exists(index)) {
    open_indexed(index);
  } else {
    open_single();
  }
}

void TensorFolder::open_indexed(const fs::path& index) {
  const nlohmann::json json = read_json_file(index);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object()) {
    throw InputError(fmt::format("{}: weight_map is not an object", index.string()));
  }
  for (const auto& [tensor, file] : map->items()) {
    const std::string what = fmt::format("{}: weight_map: {}", index.string(), printable(tensor));
    if (!file.is_string()) throw InputError(what + " is not mapped to a file name");
    const auto& name = file.get_ref<const std::string&>();
    if (!is_plain_file_name(name) || !name.ends_with(format_->extension)) {
      throw InputError(fmt::format("{} is in {}, not a {} file of this folder", what,
                                   printable(name), format_->extension));
    }
    auto& opened = files_[name];
    if (!opened) {
      if (!fs::exists(folder_ / name)) {
        throw InputError(fmt::format("{} is in {}, which is missing", what, printable(name)),
                         ErrorCode::kNotFound);
      }
      opened = format_->open(folder_ / name);
    }
    const TensorEntry* entry = opened->find(tensor);
    if (entry == nullptr) {
      throw InputError(fmt::format("{} is not in {}", what, printable(name)));
    }
    tensors_[tensor] = {.file = opened.get(), .entry = entry};
  }
}

void TensorFolder::open_single() {
  const std::vector<fs::path> found = files_of(folder_, *format_);
  if (found.empty()) {
    throw InputError(
        fmt::format("{}: no {}{} file", folder_.string(), format_->prefix, format_->extension),
        ErrorCode::kNotFound);
  }
  if (found.size() > 1) {
    throw InputError(fmt::format("{}: {} {}{} files, but no {}", folder_.string(), found.size(),
                                 format_->prefix, format_->extension, format_->index));
  }
  auto& file = files_[found[0].filename().string()];
  file = format_->open(found[0]);
  for (const TensorEntry& entry : file->entries()) {
    tensors_[entry.name] = {.file = file.get(), .entry = &entry};
  }
}

}  // namespace octet
