#include "runtime/weights/folder_checkpoint.h"

#include <algorithm>

#include "kernels/check.h"
#include "runtime/formats/json_text.h"
#include "runtime/weights/slice_io.h"

namespace octet {
namespace {

constexpr std::string_view kCompanions[] = {
    "config.json",     "generation_config.json",  "tokenizer.json",    "tokenizer_config.json",
    "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt",      "chat_template.jinja",
};
constexpr uint64_t kMaxCompanionBytes = 256 << 20;

}  // namespace

std::span<const std::string_view> companion_files() { return kCompanions; }

FolderCheckpoint::FolderCheckpoint(const std::filesystem::path& folder)
    : path_(folder),
      config_(read_json_file(folder / "config.json")),
      files_(folder),
      int8_(files_, parse_quantization_config(config_, (folder / "config.json").string()),
            folder.string()) {
  for (const auto& [name, place] : files_.tensors()) {
    if (!int8_.absorbs(name)) add(name, place.entry->dtype, place.entry->shape, *place.entry);
  }
  for (const auto& [name, scale] : int8_.scales()) {
    add(name, DType::kF32, Shape{scale.rows}, *scale.stored.entry);
  }
  std::ranges::sort(tensors_, {}, &TensorInfo::name);
}

void FolderCheckpoint::add(std::string name, DType dtype, const Shape& shape,
                           const TensorEntry& stored) {
  tensors_.push_back({.name = std::move(name),
                      .dtype = dtype,
                      .shape = shape,
                      .stored_as = std::string(dtype_name(stored.dtype)),
                      .stored_bytes = stored.bytes});
}

void FolderCheckpoint::read(std::string_view name, const TensorSlice& slice,
                            const Tensor& out) const {
  const TensorInfo* info = find(name);
  OCTET_CHECK(info != nullptr, "{} has no {}", path_.string(), name);
  check_slice(info->name, info->dtype, info->shape, slice, out);
  if (const auto scale = int8_.scales().find(name); scale != int8_.scales().end()) {
    int8_.read_scale(scale->second, slice.begin, slice.end, out, bytes_read_);
    return;
  }
  const auto& [file, entry] = files_.tensors().find(name)->second;
  read_slice(file->file(), entry->offset, entry->shape, slice, out, bytes_read_);
}

void FolderCheckpoint::copy_companions(const std::filesystem::path& folder) const {
  for (std::string_view name : companion_files()) {
    if (!std::filesystem::exists(path_ / name)) continue;
    write_text_file(folder / name, read_text_file(path_ / name, kMaxCompanionBytes));
  }
}

}  // namespace octet
