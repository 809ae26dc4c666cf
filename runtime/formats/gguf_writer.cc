#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "runtime/formats/file.h"
#include "runtime/formats/gguf_file.h"
#include "runtime/formats/gguf_wire.h"

namespace octet {
namespace {

template <typename T>
void put(std::string& out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void put(std::string& out, GgufWire type) { put(out, static_cast<uint32_t>(type)); }

void put_string(std::string& out, const std::string& text) {
  put<uint64_t>(out, text.size());
  out += text;
}

template <typename Narrow, typename T>
bool narrows(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    return value != value || static_cast<T>(static_cast<Narrow>(value)) == value;
  } else {
    return std::in_range<Narrow>(value);
  }
}

// The 32-bit type, which is what other readers expect, where every value fits it.
template <typename Narrow, typename T>
void put_numbers(std::string& out, GgufWire narrow, GgufWire wide, const std::vector<T>& all,
                 bool array) {
  bool fits = true;
  for (T value : all) fits = fits && narrows<Narrow>(value);
  put(out, fits ? narrow : wide);
  if (array) put<uint64_t>(out, all.size());
  for (T value : all) {
    if (fits) {
      put(out, static_cast<Narrow>(value));
    } else {
      put(out, value);
    }
  }
}

struct ValueWriter {
  std::string& out;

  template <typename T>
  void numbers(const std::vector<T>& all, bool array) const {
    if constexpr (std::is_same_v<T, int64_t>) {
      put_numbers<int32_t>(out, GgufWire::kI32, GgufWire::kI64, all, array);
    } else if constexpr (std::is_same_v<T, uint64_t>) {
      put_numbers<uint32_t>(out, GgufWire::kU32, GgufWire::kU64, all, array);
    } else {
      put_numbers<float>(out, GgufWire::kF32, GgufWire::kF64, all, array);
    }
  }

  void operator()(bool value) const {
    put(out, GgufWire::kBool);
    put<uint8_t>(out, value);
  }
  void operator()(const std::string& text) const {
    put(out, GgufWire::kString);
    put_string(out, text);
  }
  template <typename T>
  void operator()(T value) const {
    numbers(std::vector<T>{value}, false);
  }
  template <typename T>
  void operator()(const std::vector<T>& all) const {
    put(out, GgufWire::kArray);
    numbers(all, true);
  }
  void operator()(const std::vector<bool>& all) const {
    put(out, GgufWire::kArray);
    put(out, GgufWire::kBool);
    put<uint64_t>(out, all.size());
    for (bool value : all) put<uint8_t>(out, value);
  }
  void operator()(const std::vector<std::string>& all) const {
    put(out, GgufWire::kArray);
    put(out, GgufWire::kString);
    put<uint64_t>(out, all.size());
    for (const std::string& text : all) put_string(out, text);
  }
};

}  // namespace

void write_gguf_metadata(const std::filesystem::path& path,
                         const std::map<std::string, GgufValue, std::less<>>& metadata) {
  std::string out(kGgufMagic);
  put<uint32_t>(out, 3);
  put<uint64_t>(out, 0);
  put<uint64_t>(out, metadata.size());
  for (const auto& [key, value] : metadata) {
    put_string(out, key);
    std::visit(ValueWriter{out}, value);
  }
  write_text_file(path, out);
}

}  // namespace octet
