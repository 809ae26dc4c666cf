// The tensors of a folder as bytes, to be changed and written again: as safetensors, or as torch's
// .bin.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/formats/safetensors_folder.h"
#include "runtime/formats/safetensors_writer.h"
#include "tests/formats/temp_folder.h"
#include "tests/formats/torch_builder.h"

namespace octet {

struct StoredTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::string bytes;
};
using StoredTensors = std::vector<StoredTensor>;  // sorted by name

inline StoredTensors read_stored(const std::filesystem::path& folder) {
  StoredTensors tensors;
  const SafetensorsFolder files(folder);
  for (const auto& [name, place] : files.tensors()) {
    StoredTensor tensor{name, place.entry->dtype, place.entry->shape, {}};
    tensor.bytes.resize(place.entry->bytes);
    place.file->file().read(place.entry->offset, std::as_writable_bytes(std::span(tensor.bytes)));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

inline StoredTensor& tensor_in(StoredTensors& tensors, std::string_view name) {
  return *std::ranges::find(tensors, name, &StoredTensor::name);
}

inline void remove_weights(const std::filesystem::path& folder) {
  for (const auto& item : std::filesystem::directory_iterator(folder)) {
    const std::string name = item.path().filename().string();
    if (name.find("model") != std::string::npos) std::filesystem::remove(item.path());
  }
}

inline void write_safetensors(const std::filesystem::path& folder, const StoredTensors& tensors) {
  remove_weights(folder);
  std::vector<SafetensorsSpec> specs;
  for (const StoredTensor& tensor : tensors) {
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  SafetensorsWriter writer(folder / "model.safetensors", specs);
  for (const StoredTensor& tensor : tensors) {
    writer.write(tensor.name, 0, std::as_bytes(std::span(tensor.bytes)));
  }
}

// In `num_files` files, with an index where there are several.
inline void write_torch(const std::filesystem::path& folder, const StoredTensors& tensors,
                        size_t num_files = 1) {
  remove_weights(folder);
  std::string map;
  for (size_t file = 0; file < num_files; ++file) {
    const std::string name =
        num_files == 1 ? "pytorch_model.bin" : fmt::format("pytorch_model-{}.bin", file);
    TorchBuilder builder;
    for (size_t i = file; i < tensors.size(); i += num_files) {
      builder.tensor(tensors[i].name, tensors[i].dtype, tensors[i].shape, tensors[i].bytes);
      map += fmt::format("{}\"{}\":\"{}\"", map.empty() ? "" : ",", tensors[i].name, name);
    }
    write_file(folder / name, builder.build());
  }
  if (num_files > 1) {
    write_file(folder / kTorchFormat.index, "{\"weight_map\":{" + map + "}}");
  }
}

}  // namespace octet
