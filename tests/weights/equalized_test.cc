#include <gtest/gtest.h>

#include <cmath>

#include "runtime/weights/equalized_checkpoint.h"
#include "tests/formats/temp_folder.h"
#include "tests/weights/artefact_helpers.h"

namespace octet {
namespace {

// Feature 5 of layer 1's attention is 64 times the others, and its columns 64 times smaller.
std::vector<TinyTensor> with_a_large_feature() {
  std::vector<TinyTensor> tensors = tiny_tensors();
  for (TinyTensor& tensor : tensors) {
    if (tensor.name == "model.layers.1.input_layernorm.weight") tensor.values[5] *= 64;
    for (const char* product : {"q_proj", "k_proj", "v_proj"}) {
      if (tensor.name != "model.layers.1.self_attn." + std::string(product) + ".weight") continue;
      for (int64_t row = 0; row < tensor.shape[0]; ++row) {
        tensor.values[static_cast<size_t>(row * tensor.shape[1] + 5)] /= 64;
      }
    }
  }
  return tensors;
}

ModelFiles open_tiny(const TempFolder& folder, const std::vector<TinyTensor>& tensors) {
  write_tiny_folder(folder.path(), DType::kF32, 1, tensors);
  return open_model({.path = folder.path()});
}

TEST(EqualizedCheckpoint, WhatNormAndProductMakeTogether_StaysToTheBit) {
  TempFolder folder;
  const ModelFiles files = open_tiny(folder, with_a_large_feature());
  const EqualizedCheckpoint equalized(*files.checkpoint, files.args);
  const std::string norm = "model.layers.1.input_layernorm.weight";
  const Tensor norm_before = read_whole(*files.checkpoint, norm);
  const Tensor norm_after = read_whole(equalized, norm);
  EXPECT_GE(norm_before.data<float>()[5] / norm_after.data<float>()[5], 16);
  for (const char* product : {"q_proj", "k_proj", "v_proj"}) {
    const std::string name = "model.layers.1.self_attn." + std::string(product) + ".weight";
    const Tensor before = read_whole(*files.checkpoint, name), after = read_whole(equalized, name);
    for (int64_t i = 0; i < before.numel(); ++i) {
      const int64_t k = i % before.dim(1);
      EXPECT_EQ(before.data<float>()[i] * norm_before.data<float>()[k],
                after.data<float>()[i] * norm_after.data<float>()[k])
          << name << " " << i;
    }
  }
}

TEST(EqualizedCheckpoint, SlicesAreThoseOfTheWhole) {
  TempFolder folder;
  const ModelFiles files = open_tiny(folder, with_a_large_feature());
  const EqualizedCheckpoint equalized(*files.checkpoint, files.args);
  const std::string name = "model.layers.1.self_attn.q_proj.weight";
  const Tensor whole = read_whole(equalized, name);
  const Tensor columns = Tensor::host(DType::kF32, {whole.dim(0), 4});
  equalized.read(name, {.axis = 1, .begin = 3, .end = 7}, columns);
  for (int64_t row = 0; row < whole.dim(0); ++row) {
    for (int64_t k = 0; k < 4; ++k) {
      EXPECT_EQ(columns.data<float>()[row * 4 + k],
                whole.data<float>()[row * whole.dim(1) + 3 + k]);
    }
  }
}

TEST(EqualizedCheckpoint, AModelWithoutSuchColumnsIsItself) {
  TempFolder folder;
  const ModelFiles files = open_tiny(folder, tiny_tensors());
  const EqualizedCheckpoint equalized(*files.checkpoint, files.args);
  for (const TensorInfo& info : equalized.tensors()) {
    const Tensor before = read_whole(*files.checkpoint, info.name);
    const Tensor after = read_whole(equalized, info.name);
    EXPECT_TRUE(std::ranges::equal(before.span<const float>(), after.span<const float>()))
        << info.name;
  }
}

}  // namespace
}  // namespace octet
