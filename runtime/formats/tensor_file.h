// TensorFile: named tensors as byte ranges of one file. What every format of weights comes down to:
// SafetensorsFile, TorchFile. Knows nothing of models. Immutable after construction; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/tensor.h"
#include "runtime/formats/file.h"

namespace octet {

// The most elements a shape may have; a file that says more is malformed.
inline constexpr uint64_t kMaxElements = uint64_t{1} << 48;

struct TensorEntry {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  uint64_t offset = 0;  // of the data, from the start of the file; row-major, little-endian
  uint64_t bytes = 0;   // all inside the file
};

class TensorFile {
 public:
  virtual ~TensorFile() = default;

  const InputFile& file() const { return file_; }
  const std::vector<TensorEntry>& entries() const { return entries_; }  // sorted by name
  const TensorEntry* find(std::string_view name) const {
    const auto found = std::ranges::lower_bound(entries_, name, {}, &TensorEntry::name);
    return found != entries_.end() && found->name == name ? &*found : nullptr;
  }

 protected:
  explicit TensorFile(const std::filesystem::path& path) : file_(path) {}

  InputFile file_;
  std::vector<TensorEntry> entries_;  // filled, checked and sorted by the constructor of a format
};

}  // namespace octet
