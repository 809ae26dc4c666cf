// SafetensorsFile: one .safetensors file, its header parsed and checked. Knows nothing of models.
//
// The file is hostile. Refused: a header length past the file or 100 MB, JSON nested or with a key
// twice, a dtype that DType lacks, more than 4 dimensions, dtype x shape != bytes, offsets that
// overlap, leave a gap, or do not end where the file does. Errors: InputError naming the file, the
// tensor and the values. Immutable after construction; any thread.
#pragma once

#include <cstdint>
#include <filesystem>

#include "runtime/formats/tensor_file.h"

namespace octet {

class SafetensorsFile : public TensorFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  uint64_t data_begin() const { return data_begin_; }  // the header is bytes [0, data_begin)

 private:
  uint64_t data_begin_ = 0;
};

}  // namespace octet
