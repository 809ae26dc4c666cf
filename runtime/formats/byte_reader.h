// ByteReader: little-endian fields of hostile bytes in memory, one after the other. Every read is
// checked against what is left. The bytes outlive it; one thread. Errors: InputError naming the
// source, the field and the place.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "runtime/request/error.h"

namespace octet {

class ByteReader {
 public:
  ByteReader(std::string_view bytes, std::string source)
      : bytes_(bytes), source_(std::move(source)) {}

  const std::string& source() const { return source_; }
  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  T read(const char* what) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    T value;
    std::memcpy(&value, read_text(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::string_view read_text(uint64_t length, const char* what) {
    if (length > remaining()) {
      throw InputError(fmt::format("{}: {}: {} bytes do not fit into the {} left at byte {}",
                                   source_, what, length, remaining(), position_));
    }
    const std::string_view text = bytes_.substr(position_, length);
    position_ += length;
    return text;
  }

  // Up to the next newline, which is taken too.
  std::string_view read_line(const char* what) {
    const size_t end = bytes_.find('\n', position_);
    if (end == std::string_view::npos) {
      throw InputError(fmt::format("{}: {}: no end of the line that begins at byte {}", source_,
                                   what, position_));
    }
    std::string_view line = read_text(end + 1 - position_, what);
    line.remove_suffix(1);
    return line;
  }

 private:
  std::string_view bytes_;
  std::string source_;
  size_t position_ = 0;
};

}  // namespace octet
