// TorchFile: the tensors of a file by torch.save (pytorch_model.bin), each a byte range of a stored
// entry of a ZIP archive. The file holds a dict of tensors by name, or such a dict under the key
// "state_dict" or "model".
//
// The file is hostile, and no code in it is run (runtime/formats/pickle.h): a global that is not
// one of the few that tensors need is refused by its name. Also refused: torch's format of
// before 1.6, TorchScript, big-endian files, element types that DType lacks, tensors that are not
// contiguous or pass their storage's end. Tensors may share a storage. Errors: InputError naming
// the file, the tensor and the values. Immutable after construction; any thread.
#pragma once

#include <filesystem>

#include "runtime/formats/tensor_file.h"

namespace octet {

class TorchFile : public TensorFile {
 public:
  explicit TorchFile(const std::filesystem::path& path);
};

}  // namespace octet
