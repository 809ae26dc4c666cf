#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/formats/json_text.h"
#include "runtime/formats/safetensors_file.h"
#include "runtime/formats/safetensors_folder.h"
#include "runtime/formats/safetensors_writer.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

std::string with_length(const std::string& header, const std::string& data, uint64_t length) {
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header + data;
}
std::string with_length(const std::string& header, const std::string& data) {
  return with_length(header, data, header.size());
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class SafetensorsTest : public testing::Test {
 protected:
  SafetensorsFile load(const std::string& bytes) {
    write_file(path_, bytes);
    return SafetensorsFile(path_);
  }
  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "model.safetensors";
};

TEST_F(SafetensorsTest, Written_IsReadBack_AlignedByType) {
  const SafetensorsSpec specs[] = {{"q", DType::kI8, Shape{3, 1}},
                                   {"h", DType::kBF16, Shape{1, 1, 2}},
                                   {"f", DType::kF32, Shape{2}}};
  SafetensorsWriter writer(path_, specs);
  writer.write("q", 2, bytes_of("r"));
  writer.write("q", 0, bytes_of("pq"));
  writer.write("h", 0, bytes_of("HHHH"));
  writer.write("f", 0, bytes_of("FFFFffff"));
  writer.sync();

  const SafetensorsFile file(path_);
  EXPECT_EQ(file.file().size(), writer.size());
  EXPECT_EQ(file.data_begin() % 8, 0u);
  ASSERT_EQ(file.entries().size(), 3u);
  const std::string bytes = read_file(path_);
  const std::pair<const char*, std::string> expected[] = {
      {"q", "pqr"}, {"h", "HHHH"}, {"f", "FFFFffff"}};
  for (size_t i = 0; i < 3; ++i) {
    const TensorEntry* entry = file.find(expected[i].first);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->dtype, specs[i].dtype);
    EXPECT_EQ(entry->shape, specs[i].shape);
    EXPECT_EQ(entry->offset % dtype_size(entry->dtype), 0u);
    EXPECT_EQ(bytes.substr(entry->offset, entry->bytes), expected[i].second);
  }
  EXPECT_EQ(file.find("absent"), nullptr);
}

TEST_F(SafetensorsTest, EmptyTensorsAndMetadata_AreSound) {
  const auto file = load(with_length(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},)"
      R"("s":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}  )",
      "xy"));
  EXPECT_EQ(file.find("a")->bytes, 0u);
  EXPECT_EQ(file.find("s")->shape.numel(), 1);
}

struct MalformedHeader {
  std::string header, data, message;
};

// One tensor "t" with these fields.
std::string tensor(const std::string& fields) { return "{\"t\":{" + fields + "}}"; }

const MalformedHeader kMalformedHeaders[] = {
    {"", "", "header: not valid JSON"},
    {"[]", "", "header is not a JSON object"},
    {"{\"t\":1}", "", "'t': not dtype, shape and data_offsets"},
    {R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{}})", "x",
     "key 't' appears twice"},
    {R"({"__metadata__":{"a":1}})", "", "__metadata__"},
    {std::string(40, '['), "", "deeper than"},
    {tensor(R"("dtype":"F64","shape":[1],"data_offsets":[0,8])"), "12345678", "dtype 'F64'"},
    {tensor(R"("dtype":7,"shape":[1],"data_offsets":[0,8])"), "12345678", "dtype is not a string"},
    {tensor(R"("dtype":"U8","shape":[-1],"data_offsets":[0,8])"), "", "shape is not a list"},
    {tensor(R"("dtype":"U8","shape":[1.5],"data_offsets":[0,8])"), "", "shape is not a list"},
    {tensor(R"("dtype":"U8","shape":{},"data_offsets":[0,8])"), "", "shape is not a list"},
    {tensor(R"("dtype":"U8","shape":[1,1,1,1,1],"data_offsets":[0,1])"), "x", "more than 4"},
    {tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])"), "",
     "shape: dimension 1 is 4294967296"},
    {tensor(R"("dtype":"F32","shape":[1e30],"data_offsets":[0,0])"), "", "shape is not a list"},
    {tensor(R"("dtype":"U8","shape":[1],"data_offsets":[1])"), "x", "not [begin, end]"},
    {tensor(R"("dtype":"U8","shape":[1],"data_offsets":[1,0])"), "x", "not [begin, end]"},
    {tensor(R"("dtype":"U8","shape":[1],"offsets":[0,1])"), "x", "data_offsets is missing"},
    {tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), "1234", "F32 [2] takes 8"},
    {tensor(R"("dtype":"U8","shape":[2],"data_offsets":[0,2])"), "x", "pass the 1 bytes of data"},
    {tensor(R"("dtype":"U8","shape":[1],"data_offsets":[1,2])"), "xy",
     "begin at 1, where 0 is due"},
    {tensor(R"("dtype":"U8","shape":[1],"data_offsets":[0,1])"), "xyz", "2 bytes after"},
    {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
     R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
     "xyz", "'b': data_offsets begin at 1"},
};

TEST_F(SafetensorsTest, MalformedField_IsNamed) {
  for (const MalformedHeader& malformed : kMalformedHeaders) {
    SCOPED_TRACE(malformed.header);
    EXPECT_INPUT_ERROR(load(with_length(malformed.header, malformed.data)), path_.string(),
                       malformed.message);
  }
}

TEST_F(SafetensorsTest, HeaderLength_IsCheckedBeforeUse) {
  EXPECT_INPUT_ERROR(load("1234567"), path_.string(), "header length");
  EXPECT_INPUT_ERROR(load(with_length("{}", "", 3)), path_.string(), "header length");
  EXPECT_INPUT_ERROR(load(with_length("{}", "", 100'000'001)), "100000001 is more than 100000000");
  EXPECT_INPUT_ERROR(load(with_length("{}", "", UINT64_MAX)), "header length");
}

class SafetensorsFolderTest : public SafetensorsTest {
 protected:
  void add_file(const char* name, const char* tensor) {
    const SafetensorsSpec spec[] = {{tensor, DType::kU8, Shape{1}}};
    SafetensorsWriter writer(folder_ / name, spec);
  }
  void add_index(const nlohmann::json& map) {
    write_file(folder_ / kSafetensorsIndex, nlohmann::json{{"weight_map", map}}.dump());
  }
  void open() { SafetensorsFolder{folder_.path()}; }
};

TEST_F(SafetensorsFolderTest, Index_MapsTensorsToTheirFiles) {
  add_file("a.safetensors", "x");
  add_file("b.safetensors", "y");
  add_index({{"x", "a.safetensors"}, {"y", "b.safetensors"}});
  const SafetensorsFolder folder(folder_.path());
  EXPECT_EQ(folder.files().size(), 2u);
  ASSERT_EQ(folder.tensors().size(), 2u);
  EXPECT_EQ(folder.tensors().at("y").file->file().path().filename(), "b.safetensors");
}

TEST_F(SafetensorsFolderTest, MalformedIndex_IsNamed) {
  add_file("a.safetensors", "x");
  const std::pair<nlohmann::json, std::string> cases[] = {
      {{{"x", "../a.safetensors"}}, "not a .safetensors file of this folder"},
      {{{"x", "/etc/a.safetensors"}}, "not a .safetensors file of this folder"},
      {{{"x", "config.json"}}, "not a .safetensors file of this folder"},
      {{{"x", ""}}, "not a .safetensors file of this folder"},
      {{{"x", 3}}, "'x' is not mapped to a file name"},
      {{{"x", "missing.safetensors"}}, "'x' is in 'missing.safetensors', which is missing"},
      {{{"z", "a.safetensors"}}, "'z' is not in 'a.safetensors'"},
      {nlohmann::json::array(), "weight_map is not an object"},
  };
  for (const auto& [map, message] : cases) {
    add_index(map);
    EXPECT_INPUT_ERROR(open(), kSafetensorsIndex, message);
  }
}

TEST_F(SafetensorsFolderTest, SeveralFilesWithoutIndex_AreRefused) {
  EXPECT_INPUT_ERROR(open(), folder_.path().string(), "no .safetensors file");
  add_file("a.safetensors", "x");
  EXPECT_NO_THROW(open());
  add_file("b.safetensors", "y");
  EXPECT_INPUT_ERROR(open(), "2 .safetensors files, but no model.safetensors.index.json");
}

}  // namespace
}  // namespace octet
