// SafetensorsFolder: all tensors of a folder, in one .safetensors file or in several with a
// model.safetensors.index.json. Errors: InputError naming the file. Immutable after construction;
// any thread.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/formats/safetensors_file.h"

namespace octet {

inline constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";

class SafetensorsFolder {
 public:
  struct Place {
    const SafetensorsFile* file = nullptr;
    const SafetensorsEntry* entry = nullptr;
  };

  // Refused: an index that names a file outside the folder, a file or a tensor that is not there;
  // several files without an index.
  explicit SafetensorsFolder(const std::filesystem::path& folder);

  const std::map<std::string, Place, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::unique_ptr<SafetensorsFile>>& files() const {
    return files_;
  }  // by file name

 private:
  void open_indexed(const std::filesystem::path& index);
  void open_single();

  std::filesystem::path folder_;
  std::map<std::string, std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Place, std::less<>> tensors_;
};

// Is `name` the name of a file in the same folder, and nothing else (no path, no "..")?
bool is_plain_file_name(std::string_view name);

}  // namespace octet
