#include "runtime/formats/ggml_dequantize.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    uint8_t value = 0;
    std::from_chars(&hex[2 * i], &hex[2 * i] + 2, value, 16);
    bytes[i] = std::byte{value};
  }
  return bytes;
}

TEST(GgmlDequantize, EveryFormat_GivesTheReferencesBits) {
  const auto vectors =
      nlohmann::json::parse(read_file(OCTET_SOURCE_DIR "/tests/formats/dequantize_vectors.json"));
  for (const GgmlTypeInfo& type : ggml_types()) {
    SCOPED_TRACE(std::string(type.name));
    const auto& vector = vectors.at(std::string(type.name));
    const std::vector<std::byte> blocks = from_hex(vector.at("blocks"));
    const std::vector<std::byte> expected = from_hex(vector.at("f32"));
    std::vector<float> out(expected.size() / sizeof(float)), wanted(out.size());
    std::memcpy(wanted.data(), expected.data(), expected.size());
    ggml_dequantize(type, blocks, out);
    EXPECT_EQ(out, wanted);
  }
}

TEST(GgmlDequantizeDeathTest, PartOfABlock_IsABug) {
  const GgmlTypeInfo& type = *find_ggml_type(static_cast<uint32_t>(GgmlType::kQ4_0));
  std::vector<std::byte> half_block(9);
  std::vector<float> out(16);
  EXPECT_DEATH(ggml_dequantize(type, half_block, out), "Q4_0: 9 bytes to 16 elements");
}

}  // namespace
}  // namespace octet
