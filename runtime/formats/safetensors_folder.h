// SafetensorsFolder: a TensorFolder of .safetensors files, whatever else is there.
#pragma once

#include "runtime/formats/tensor_folder.h"

namespace octet {

inline constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";

class SafetensorsFolder : public TensorFolder {
 public:
  explicit SafetensorsFolder(const std::filesystem::path& folder)
      : TensorFolder(folder, kSafetensorsFormat) {}
};

}  // namespace octet
