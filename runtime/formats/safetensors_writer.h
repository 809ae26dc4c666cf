// SafetensorsWriter: writes one .safetensors file whose tensors are declared first and then filled
// in any order, a piece at a time; nothing is kept in memory. One thread. Errors: InputError naming
// the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "runtime/formats/file.h"

namespace octet {

struct SafetensorsSpec {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};

// The header of a file with these tensors, length field included, padded with spaces so that data
// begin at a multiple of 64, a line of the cache. Tensors lie widest type first, so that each is
// aligned to its type.
std::string safetensors_header(std::span<const SafetensorsSpec> tensors);

class SafetensorsWriter {
 public:
  // Creates the file, or opens the one that an earlier writer left with the same tensors
  // (`resume`).
  SafetensorsWriter(const std::filesystem::path& path, std::span<const SafetensorsSpec> tensors,
                    bool resume = false);

  // bytes go to [offset, offset + bytes.size()) of the tensor. REQUIRES: inside the tensor.
  void write(const std::string& tensor, uint64_t offset, std::span<const std::byte> bytes);
  void sync() { file_.sync(); }
  uint64_t size() const { return size_; }  // of the whole file

 private:
  struct Place {
    uint64_t offset = 0, bytes = 0;
  };
  OutputFile file_;
  uint64_t size_ = 0;
  std::map<std::string, Place> places_;
};

}  // namespace octet
