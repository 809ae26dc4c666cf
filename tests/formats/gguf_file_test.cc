#include "runtime/formats/gguf_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/formats/expect_input_error.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

using Metadata = std::map<std::string, GgufValue, std::less<>>;

class GgufFileTest : public testing::Test {
 protected:
  GgufFile load(const GgufBuilder& builder) {
    write_file(path_, builder.build());
    return GgufFile(path_);
  }
  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "model.gguf";
};

TEST_F(GgufFileTest, Metadata_RoundTrips) {
  const Metadata metadata = {
      {"bool", true},
      {"negative", int64_t{-3}},
      {"large", uint64_t{1} << 63},
      {"float", 0.5},
      {"double", 0.1},
      {"string", std::string("a\0b\xff", 4)},
      {"bools", std::vector<bool>{true, false, true}},
      {"integers", std::vector<int64_t>{-1, INT64_MIN, 5}},
      {"unsigned", std::vector<uint64_t>{0, 1}},
      {"floats", std::vector<double>{1.5, -0.25}},
      {"strings", std::vector<std::string>{"", "x", "two words"}},
      {"empty", std::vector<std::string>{}},
  };
  write_gguf_metadata(path_, metadata);
  const GgufFile file(path_);
  EXPECT_EQ(file.metadata(), metadata);
  EXPECT_TRUE(file.tensors().empty());
}

TEST_F(GgufFileTest, Tensors_AreWhereTheBytesAre_InVersions2And3) {
  for (uint32_t version : {2u, 3u}) {
    GgufBuilder builder;
    builder.version = version;
    builder.alignment = 64;
    builder.key_u32("general.alignment", 64);
    builder.tensor("a", {2, 3}, 0, std::string(24, 'a'));
    builder.tensor("b", {32}, 2, std::string(18, 'b'));
    const GgufFile file = load(builder);
    ASSERT_EQ(file.tensors().size(), 2u);
    const GgufTensor &a = file.tensors()[0], &b = file.tensors()[1];
    EXPECT_EQ(a.shape, (std::vector<int64_t>{3, 2}));
    EXPECT_EQ(a.bytes, 24u);
    EXPECT_EQ(b.bytes, 18u);
    EXPECT_EQ(a.offset % 64, 0u);
    const std::string bytes = read_file(path_);
    EXPECT_EQ(bytes.substr(a.offset, a.bytes), std::string(24, 'a'));
    EXPECT_EQ(bytes.substr(b.offset, b.bytes), std::string(18, 'b'));
  }
}

TEST_F(GgufFileTest, Get_ConvertsIntegersThatFit_AndNamesTheKeyElse) {
  GgufBuilder builder;
  builder.key("byte", 0, uint8_t{200});
  builder.key("negative", 5, int32_t{-1});
  builder.key_f32("float", 0.5f);
  const GgufFile file = load(builder);
  EXPECT_EQ(file.get<int32_t>("byte"), 200);
  EXPECT_EQ(file.get<double>("float"), 0.5);
  EXPECT_EQ(file.get_or<int64_t>("absent", 7), 7);
  EXPECT_INPUT_ERROR(file.get<uint64_t>("negative"), path_.string(), "'negative'", "integer");
  EXPECT_INPUT_ERROR(file.get<std::string>("byte"), "'byte'", "string");
  EXPECT_INPUT_ERROR(file.get_or<bool>("byte", true), "'byte'", "boolean");
  EXPECT_INPUT_ERROR(file.get<bool>("absent"), "'absent'", "missing");
}

struct Malformed {
  const char* what;
  std::function<void(GgufBuilder&)> make;
  std::string message;
};

std::string array_of(uint32_t type, uint64_t count) {
  std::string bytes;
  GgufBuilder::put(bytes, type);
  GgufBuilder::put(bytes, count);
  return bytes;
}

const Malformed kMalformed[] = {
    {"magic", [](auto& b) { b.magic = "GGUX"; }, "magic"},
    {"version 1", [](auto& b) { b.version = 1; }, "version 1"},
    {"big-endian", [](auto& b) { b.version = 3u << 24; }, "big-endian"},
    {"key count", [](auto& b) { b.extra_keys = INT64_MAX; }, "key count"},
    {"tensor count", [](auto& b) { b.extra_tensors = 1 << 20; }, "tensor count"},
    {"key twice", [](auto& b) { b.key_u32("k", 1), b.key_u32("k", 1); }, "key 'k' appears twice"},
    {"value type", [](auto& b) { b.key("k", 13, uint64_t{0}); }, "key 'k': value type 13"},
    {"boolean", [](auto& b) { b.key("k", 7, uint8_t{2}); }, "key 'k': the boolean 2"},
    {"string length", [](auto& b) { b.key("k", 8, UINT64_MAX - 3); }, "key 'k': a string of"},
    {"array length", [](auto& b) { b.key("k", 9, array_of(4, UINT64_MAX / 2)); }, "key 'k'"},
    {"string array", [](auto& b) { b.key("k", 9, array_of(8, 1 << 30)); }, "key 'k'"},
    {"array of arrays", [](auto& b) { b.key("k", 9, array_of(9, 1)); }, "arrays of type 9"},
    {"alignment 0", [](auto& b) { b.key_u32("general.alignment", 0); }, "general.alignment' is 0"},
    {"alignment 12", [](auto& b) { b.key_u32("general.alignment", 12); }, "is 12"},
    {"no dimension", [](auto& b) { b.tensor("t", {}, 0, ""); }, "tensor 't': 0 dimensions"},
    {"5 dimensions",
     [](auto& b) {
       b.tensor("t", {1, 1, 1, 1, 1}, 0, "abcd");
     },
     "5 dimensions"},
    {"extent 0",
     [](auto& b) {
       b.tensor("t", {4, 0}, 0, "");
     },
     "dimension 1 is 0"},
    {"overflow",
     [](auto& b) {
       b.tensor("t", {1u << 31, 1u << 31, 4}, 0, "");
     },
     "dimension 1 is"},
    {"type", [](auto& b) { b.tensor("t", {32}, 9, ""); }, "ggml type 9"},
    {"part of a block", [](auto& b) { b.tensor("t", {33}, 2, ""); }, "rows of 33 elements"},
    {"unaligned", [](auto& b) { b.tensor_at("t", {1}, 0, 8); }, "offset 8 is not a multiple"},
    {"past the end", [](auto& b) { b.tensor("t", {8}, 0, "1234"); }, "tensor 't': 32 bytes at"},
    {"offset overflow", [](auto& b) { b.tensor_at("t", {1}, 0, UINT64_MAX - 31); }, "tensor 't'"},
    {"twice", [](auto& b) { b.tensor("t", {1}, 0, "1234"), b.tensor("t", {1}, 0, "1234"); },
     "twice"},
    {"overlap",
     [](auto& b) { b.tensor("t", {32}, 0, std::string(128, 0)), b.tensor_at("u", {1}, 0, 32); },
     "'t' and 'u' overlap"},
};

TEST_F(GgufFileTest, MalformedField_IsNamed) {
  for (const Malformed& malformed : kMalformed) {
    SCOPED_TRACE(malformed.what);
    GgufBuilder builder;
    malformed.make(builder);
    EXPECT_INPUT_ERROR(load(builder), path_.string(), malformed.message);
  }
}

TEST_F(GgufFileTest, EveryTruncation_IsRefused) {
  GgufBuilder builder;
  builder.key_strings("tokenizer.ggml.tokens", {"a", "bc"});
  builder.tensor("t", {4}, 0, std::string(16, 'x'));
  const std::string sound = builder.build();
  for (size_t length = 0; length < sound.size(); ++length) {
    write_file(path_, sound.substr(0, length));
    EXPECT_THROW(GgufFile{path_}, InputError) << length;
  }
}

}  // namespace
}  // namespace octet
