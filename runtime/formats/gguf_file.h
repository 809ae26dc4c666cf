// GgufFile: the header of a GGUF v2 or v3 file, parsed and checked: metadata and where each
// tensor's bytes are. Knows nothing of models. Format: ggml's gguf.md.
//
// The file is hostile: counts, lengths, offsets and alignments are checked against the file's size
// before use. Throws InputError naming the file, the key or tensor, and the values. Immutable after
// construction; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace octet {

// Integers of any width are int64_t or uint64_t, floats are double; arrays keep one type for all
// elements.
using GgufValue = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<bool>,
                               std::vector<int64_t>, std::vector<uint64_t>, std::vector<double>,
                               std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  uint32_t type = 0;           // ggml_type
  std::vector<int64_t> shape;  // outermost first (the reverse of the file's order)
  uint64_t offset = 0;         // of the data, from the start of the file
  uint64_t bytes = 0;
};

class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  // Typed look-ups; any integer type converts where the value fits. The first throws when the key
  // is missing or of another type, the second gives the fallback when it is missing.
  template <typename T>
  T get(std::string_view key) const;
  template <typename T>
  T get_or(std::string_view key, T fallback) const;
  bool has(std::string_view key) const { return metadata_.find(key) != metadata_.end(); }

 private:
  std::filesystem::path path_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<GgufTensor> tensors_;
};

// Writes a GGUF v3 file with these keys and no tensors (a vocabulary file).
void write_gguf_metadata(const std::filesystem::path& path,
                         const std::map<std::string, GgufValue, std::less<>>& metadata);

}  // namespace octet
