// TensorFolder: all tensors of a folder, in one file or in several with an index. The formats are
// rows of one list; the first that the folder has any file of is the one that is read.
//
// Errors: InputError naming the file. Immutable after construction; any thread.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runtime/formats/tensor_file.h"

namespace octet {

// One format of files: "model.safetensors.index.json" is the index of its files, whose names begin
// and end like this.
struct TensorFormat {
  std::string_view name;  // "safetensors"
  std::string_view index, prefix, extension;
  std::unique_ptr<TensorFile> (*open)(const std::filesystem::path& path);
};

extern const TensorFormat kSafetensorsFormat;  // *.safetensors
extern const TensorFormat kTorchFormat;        // pytorch_model*.bin

struct TensorPlace {
  const TensorFile* file = nullptr;
  const TensorEntry* entry = nullptr;
};

class TensorFolder {
 public:
  // Refused: an index that names a file outside the folder, a file or a tensor that is not there;
  // several files without an index; none.
  TensorFolder(const std::filesystem::path& folder, const TensorFormat& format);

  // By the first format that is there: safetensors before torch.
  explicit TensorFolder(const std::filesystem::path& folder);

  const TensorFormat& format() const { return *format_; }
  const std::map<std::string, TensorPlace, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::unique_ptr<TensorFile>>& files() const {
    return files_;
  }  // by file name

 private:
  void open_indexed(const std::filesystem::path& index);
  void open_single();

  std::filesystem::path folder_;
  const TensorFormat* format_;
  std::map<std::string, std::unique_ptr<TensorFile>> files_;
  std::map<std::string, TensorPlace, std::less<>> tensors_;
};

// Is `name` the name of a file in the same folder, and nothing else (no path, no "..")?
bool is_plain_file_name(std::string_view name);

}  // namespace octet
