#include "runtime/weights/folder_checkpoint.h"

#include <fmt/format.h>

#include "kernels/check.h"
#include "runtime/formats/json_text.h"
#include "runtime/request/error.h"
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
    : path_(folder), config_(read_json_file(folder / "config.json")), files_(folder) {
  for (const auto& [name, place] : files_.tensors()) {
    tensors_.push_back({.name = name,
                        .dtype = place.entry->dtype,
                        .shape = place.entry->shape,
                        .stored_as = std::string(dtype_name(place.entry->dtype)),
                        .stored_bytes = place.entry->bytes});
    if (place.entry->dtype == DType::kI8 && !config_.contains("quantization_config")) {
      throw InputError(
          fmt::format("{}: tensor {} is int8, but there is no octet.json beside it and no "
                      "quantization_config in config.json: an artefact without its manifest",
                      folder.string(), name));
    }
  }
}

void FolderCheckpoint::read(std::string_view name, const TensorSlice& slice,
                            const Tensor& out) const {
  const auto found = files_.tensors().find(name);
  OCTET_CHECK(found != files_.tensors().end(), "{} has no {}", path_.string(), name);
  const auto& [file, entry] = found->second;
  check_slice(entry->name, entry->dtype, entry->shape, slice, out);
  read_slice(file->file(), entry->offset, entry->shape, slice, out, bytes_read_);
}

void FolderCheckpoint::copy_companions(const std::filesystem::path& folder) const {
  for (std::string_view name : companion_files()) {
    if (!std::filesystem::exists(path_ / name)) continue;
    write_text_file(folder / name, read_text_file(path_ / name, kMaxCompanionBytes));
  }
}

}  // namespace octet
