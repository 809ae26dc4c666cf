// The element types of GGUF tensors that Octet can read: how many elements a block has and how many
// bytes it takes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace octet {

enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30
};

struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;
  int64_t block_elements;  // 1: not a block format
  int64_t block_bytes;
};

std::span<const GgmlTypeInfo> ggml_types();
const GgmlTypeInfo* find_ggml_type(uint32_t type);  // nullptr: not one of these

}  // namespace octet
