// SafetensorsFile: one .safetensors file, its header parsed and checked. Knows nothing of models.
//
// The file is hostile. Refused: a header length past the file or 100 MB, JSON nested or with a key
// twice, a dtype that DType lacks, more than 4 dimensions, dtype x shape != bytes, offsets that
// overlap, leave a gap, or do not end where the file does. Errors: InputError naming the file, the
// tensor and the values. Immutable after construction; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/tensor.h"
#include "runtime/formats/file.h"

namespace octet {

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  uint64_t offset = 0;  // of the data, from the start of the file
  uint64_t bytes = 0;
};

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const InputFile& file() const { return file_; }
  uint64_t data_begin() const { return data_begin_; }  // the header is bytes [0, data_begin)
  const std::vector<SafetensorsEntry>& entries() const { return entries_; }  // sorted by name
  const SafetensorsEntry* find(std::string_view name) const;

 private:
  InputFile file_;
  uint64_t data_begin_ = 0;
  std::vector<SafetensorsEntry> entries_;
};

}  // namespace octet
