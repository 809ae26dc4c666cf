// How GGUF tags its values on disk: shared by the reader and the writer.
#pragma once

#include <cstdint>
#include <string_view>

namespace octet {

inline constexpr std::string_view kGgufMagic = "GGUF";

enum class GgufWire : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12
};

}  // namespace octet
