// What torch itself wrote (make_torch_vectors.py): read, or refused by name.
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/formats/torch_file.h"
#include "tests/formats/expect_input_error.h"

namespace octet {
namespace {

std::filesystem::path vector_path(const std::string& name) {
  return OCTET_SOURCE_DIR "/tests/formats/torch_vectors/" + name + ".bin";
}

template <typename T>
std::vector<T> read(const TorchFile& file, std::string_view name, DType dtype, const Shape& shape) {
  const TensorEntry* entry = file.find(name);
  if (entry == nullptr || entry->dtype != dtype || entry->shape != shape) {
    ADD_FAILURE() << name << (entry == nullptr ? " is missing" : " has another type or shape");
    return {};
  }
  std::vector<T> values(entry->bytes / sizeof(T));
  file.file().read(entry->offset, std::as_writable_bytes(std::span(values)));
  return values;
}

std::vector<float> ramp(int begin, int end) {
  std::vector<float> values;
  for (int i = begin; i < end; ++i) values.push_back(static_cast<float>(i) / 4 - 1);
  return values;
}

std::vector<float> widened(const std::vector<uint16_t>& bits, float (*convert)(uint16_t)) {
  std::vector<float> values;
  for (uint16_t b : bits) values.push_back(convert(b));
  return values;
}

TEST(TorchVectors, EveryType_HasItsValues_InProtocols2And4) {
  for (const char* name : {"types", "protocol4"}) {
    SCOPED_TRACE(name);
    const TorchFile file(vector_path(name));
    EXPECT_EQ(file.entries().size(), 9u);
    const Shape matrix{2, 3}, vector{6};
    EXPECT_EQ(read<float>(file, "f32", DType::kF32, matrix), ramp(0, 6));
    EXPECT_EQ(widened(read<uint16_t>(file, "f16", DType::kF16, matrix), f16_to_f32), ramp(0, 6));
    EXPECT_EQ(widened(read<uint16_t>(file, "bf16", DType::kBF16, matrix), bf16_to_f32), ramp(0, 6));
    EXPECT_EQ(read<int8_t>(file, "i8", DType::kI8, vector),
              (std::vector<int8_t>{-2, -1, 0, 1, 2, 3}));
    EXPECT_EQ(read<uint8_t>(file, "u8", DType::kU8, vector),
              (std::vector<uint8_t>{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(read<int32_t>(file, "i32", DType::kI32, vector),
              (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(read<int64_t>(file, "i64", DType::kI64, vector),
              (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(read<float>(file, "scalar", DType::kF32, Shape{}), ramp(0, 1));
    EXPECT_TRUE(read<float>(file, "empty", DType::kF32, Shape{0, 4}).empty());
  }
}

TEST(TorchVectors, TiedTensorsAndViews_AreRangesOfOneStorage) {
  const TorchFile module(vector_path("module"));
  EXPECT_EQ(read<float>(module, "embed.weight", DType::kF32, Shape{5, 3}), ramp(0, 15));
  EXPECT_EQ(module.find("head.weight")->offset, module.find("embed.weight")->offset);
  const TorchFile views(vector_path("views"));
  EXPECT_EQ(read<float>(views, "all", DType::kF32, Shape{6, 2}), ramp(0, 12));
  EXPECT_EQ(read<float>(views, "tail", DType::kF32, Shape{2, 2}), ramp(8, 12));
  EXPECT_EQ(read<float>(views, "one", DType::kF32, Shape{2}), ramp(6, 8));
}

TEST(TorchVectors, ParametersAndNestedDicts_AreTensorsByName) {
  const TorchFile parameter(vector_path("parameter"));
  EXPECT_EQ(read<float>(parameter, "p", DType::kF32, Shape{2, 3}), ramp(0, 6));
  EXPECT_EQ(read<float>(parameter, "t", DType::kF32, Shape{2, 3}), ramp(0, 6));
  for (const char* name : {"state_dict", "model"}) {
    const TorchFile file(vector_path(name));
    EXPECT_EQ(file.entries().size(), 1u);
    EXPECT_EQ(read<float>(file, "f32", DType::kF32, Shape{2, 3}), ramp(0, 6));
  }
}

TEST(TorchVectors, WhatIsNotRead_IsNamed) {
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"double", {"'wide'", "torch.DoubleStorage"}},
      {"bool", {"'mask'", "torch.BoolStorage"}},
      {"transposed", {"'t'", "dimension 1 has stride 3", "not contiguous"}},
      {"code", {"data.pkl", "'argparse.Namespace'"}},
      {"float8", {"data.pkl", "'torch._utils._rebuild_tensor_v3'"}},
      {"legacy", {"before 1.6"}},
      {"script", {"TorchScript"}},
  };
  for (const auto& [name, message] : cases) {
    const std::filesystem::path path = vector_path(name);
    for (const std::string& part : message)
      EXPECT_INPUT_ERROR(TorchFile{path}, path.string(), part);
  }
}

}  // namespace
}  // namespace octet
