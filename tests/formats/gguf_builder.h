// Builds GGUF files byte by byte, sound ones and others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace octet {

class GgufBuilder {
 public:
  uint32_t version = 3;
  std::string magic = "GGUF";
  uint64_t alignment = 32;  // of the data; add the key general.alignment where it is not 32
  int64_t extra_keys = 0;   // the count in the header says so many more
  int64_t extra_tensors = 0;

  template <typename T>
  requires std::is_arithmetic_v<T>
  static void put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  static void put_string(std::string& out, std::string_view text) {
    put<uint64_t>(out, text.size());
    out += text;
  }

  // A value of any type, given as bytes.
  void key(std::string_view name, uint32_t type, std::string_view value) {
    put_string(keys_, name);
    put(keys_, type);
    keys_ += value;
    ++num_keys_;
  }
  template <typename T>
  requires std::is_arithmetic_v<T>
  void key(std::string_view name, uint32_t type, T value) {
    std::string bytes;
    put(bytes, value);
    key(name, type, std::string_view(bytes));
  }
  void key_u32(std::string_view name, uint32_t value) { key(name, 4, value); }
  void key_f32(std::string_view name, float value) { key(name, 6, value); }
  void key_string(std::string_view name, std::string_view value) {
    std::string bytes;
    put_string(bytes, value);
    key(name, 8, std::string_view(bytes));
  }
  void key_strings(std::string_view name, const std::vector<std::string>& values) {
    std::string bytes;
    put<uint32_t>(bytes, 8);
    put<uint64_t>(bytes, values.size());
    for (const std::string& value : values) put_string(bytes, value);
    key(name, 9, std::string_view(bytes));
  }

  // dims: innermost first, as in the file.
  void tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
              std::string_view data) {
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    tensor_at(name, dims, type, data_.size());
    data_ += data;
  }
  void tensor_at(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                 uint64_t offset) {
    put_string(tensors_, name);
    put<uint32_t>(tensors_, static_cast<uint32_t>(dims.size()));
    for (uint64_t dim : dims) put(tensors_, dim);
    put(tensors_, type);
    put(tensors_, offset);
    ++num_tensors_;
  }

  std::string build() const {
    std::string out = magic;
    put(out, version);
    put<uint64_t>(out, static_cast<uint64_t>(num_tensors_ + extra_tensors));
    put<uint64_t>(out, static_cast<uint64_t>(num_keys_ + extra_keys));
    out += keys_ + tensors_;
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data_;
  }

 private:
  std::string keys_, tensors_, data_;
  int64_t num_keys_ = 0, num_tensors_ = 0;
};

}  // namespace octet
