// Hugging Face folders and GGUF files as checkpoints.
#include "runtime/weights/checkpoint.h"

#include <gtest/gtest.h>

#include "runtime/formats/gguf_file.h"
#include "runtime/models/family.h"
#include "runtime/models/open_model.h"
#include "runtime/weights/slice_io.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/temp_folder.h"
#include "tests/weights/tiny_model.h"

namespace octet {
namespace {

Tensor read(const Checkpoint& checkpoint, const TensorInfo& info, const TensorSlice& slice) {
  Tensor out = Tensor::host(info.dtype, slice_shape(info.shape, slice));
  checkpoint.read(info.name, slice, out);
  return out;
}

float value_at(const Tensor& tensor, int64_t i) {
  const auto at = static_cast<size_t>(i);
  if (tensor.dtype() == DType::kF32) return tensor.span<float>()[at];
  const uint16_t bits = tensor.span<uint16_t>()[at];
  return tensor.dtype() == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

void expect_slice(const Tensor& out, const TinyTensor& tensor, const TensorSlice& slice) {
  const int64_t columns = tensor.shape.rank() == 2 ? tensor.shape[1] : 1;
  const int64_t width = slice.axis == 1 ? slice.end - slice.begin : columns;
  for (int64_t i = 0; i < out.numel(); ++i) {
    const int64_t row = i / width + (slice.axis == 0 ? slice.begin : 0);
    const int64_t column = i % width + (slice.axis == 1 ? slice.begin : 0);
    ASSERT_EQ(value_at(out, i), tensor.values[static_cast<size_t>(row * columns + column)])
        << tensor.name << " [" << row << ", " << column << "]";
  }
}

bool is_interleaved(const TinyTensor& tensor) {
  return tensor.name.find("q_proj") != std::string::npos ||
         tensor.name.find("k_proj") != std::string::npos;
}

// Every tensor whole, in rows and in columns; of those whose rows a GGUF file interleaves, rows.
void expect_all_slices(const Checkpoint& checkpoint) {
  const auto tensors = tiny_tensors();
  ASSERT_EQ(checkpoint.tensors().size(), tensors.size());
  for (const TinyTensor& tensor : tensors) {
    const TensorInfo* info = checkpoint.find(tensor.name);
    ASSERT_NE(info, nullptr) << tensor.name;
    ASSERT_EQ(info->shape, tensor.shape);
    const bool rows_only = checkpoint.kind() == CheckpointKind::kGguf && is_interleaved(tensor);
    for (int axis = 0; axis < (rows_only ? 1 : tensor.shape.rank()); ++axis) {
      const int64_t extent = tensor.shape[axis];
      for (const auto& [begin, end] :
           {std::pair<int64_t, int64_t>(0, extent), {1, 7}, {5, 5}, {extent - 3, extent}}) {
        const TensorSlice slice{.axis = axis, .begin = begin, .end = end};
        expect_slice(read(checkpoint, *info, slice), tensor, slice);
      }
    }
  }
}

TEST(Checkpoint, Folder_DeliversEverySlice_OfAnyFloatTypeAndFileCount) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int files : {1, 3}) {
      TempFolder folder;
      write_tiny_folder(folder.path(), dtype, files);
      const auto checkpoint = Checkpoint::open(folder.path());
      EXPECT_EQ(checkpoint->kind(), CheckpointKind::kFolder);
      EXPECT_EQ(checkpoint->config(), tiny_config());
      expect_all_slices(*checkpoint);
    }
  }
}

TEST(Checkpoint, Gguf_HasHuggingFacesNamesConfigAndRowOrder) {
  TempFolder folder;
  write_tiny_gguf(folder / "tiny.gguf");
  const auto [checkpoint, args] = open_model({.path = folder / "tiny.gguf"});
  EXPECT_EQ(checkpoint->kind(), CheckpointKind::kGguf);
  const ModelArgs expected = parse_llama(tiny_config(), "folder");
  EXPECT_EQ(args.hidden_size, expected.hidden_size);
  EXPECT_EQ(args.intermediate_size, expected.intermediate_size);
  EXPECT_EQ(args.num_key_value_heads, expected.num_key_value_heads);
  EXPECT_EQ(args.vocab_size, expected.vocab_size);
  EXPECT_EQ(args.norm_eps, expected.norm_eps);
  EXPECT_EQ(args.eos_token_ids, expected.eos_token_ids);
  EXPECT_TRUE(args.tie_word_embeddings);
  EXPECT_EQ(args.torch_dtype, "float32");
  expect_all_slices(*checkpoint);
}

TEST(Checkpoint, Gguf_CompanionsAreConfigAndVocabulary) {
  TempFolder folder;
  write_tiny_gguf(folder / "tiny.gguf");
  const auto checkpoint = Checkpoint::open(folder / "tiny.gguf");
  std::filesystem::create_directory(folder / "out");
  checkpoint->copy_companions(folder / "out");
  EXPECT_EQ(nlohmann::json::parse(read_file(folder / "out" / "config.json")), checkpoint->config());
  const GgufFile vocabulary(folder / "out" / "tokenizer.gguf");
  EXPECT_TRUE(vocabulary.tensors().empty());
  EXPECT_EQ(vocabulary.get<std::vector<std::string>>("tokenizer.ggml.tokens").size(), 40u);
  EXPECT_EQ(vocabulary.get<std::string>("general.architecture"), "llama");
  EXPECT_FALSE(vocabulary.has("llama.block_count"));
}

// Only the blocks that hold the columns are read, and columns need not begin at a block.
TEST(Checkpoint, GgufBlocks_AreCutInsideARow) {
  TempFolder folder;
  GgufBuilder builder;
  builder.key_string("general.architecture", "llama");
  for (const char* key :
       {"llama.block_count", "llama.attention.head_count", "llama.context_length"}) {
    builder.key_u32(key, 1);
  }
  for (const char* key :
       {"llama.embedding_length", "llama.feed_forward_length", "llama.vocab_size"}) {
    builder.key_u32(key, 96);
  }
  builder.key_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  std::string blocks;  // 2 rows of 3 Q8_0 blocks; element i of block b is i * (b + 1)
  for (int block = 0; block < 6; ++block) {
    GgufBuilder::put(blocks, f32_to_f16(static_cast<float>(block + 1)));
    for (int i = 0; i < 32; ++i) blocks.push_back(static_cast<char>(i));
  }
  builder.tensor("blk.0.ffn_down.weight", {96, 2}, 8, blocks);
  write_file(folder / "blocks.gguf", builder.build());

  const auto checkpoint = Checkpoint::open(folder / "blocks.gguf");
  const TensorInfo& info = checkpoint->tensors().at(0);
  EXPECT_EQ(info.name, "blk.0.ffn_down.weight");
  EXPECT_EQ(info.stored_as, "Q8_0");
  const Tensor out = read(*checkpoint, info, {.axis = 1, .begin = 30, .end = 40});
  const auto values = out.span<float>();
  EXPECT_EQ(values[0], 30 * 1);
  EXPECT_EQ(values[2], 0 * 2);
  EXPECT_EQ(values[9], 7 * 2);
  EXPECT_EQ(values[10], 30 * 4);
  EXPECT_EQ(values[19], 7 * 5);
  EXPECT_EQ(checkpoint->bytes_read(), 2u * 2 * 34);
}

TEST(Checkpoint, WhatIsNoCheckpoint_IsNamed) {
  TempFolder folder;
  EXPECT_INPUT_ERROR(Checkpoint::open(folder / "absent"), (folder / "absent").string(),
                     "no such file");
  EXPECT_INPUT_ERROR(Checkpoint::open(folder.path()), "config.json", "No such file");
  write_file(folder / "config.json", "{}");
  EXPECT_INPUT_ERROR(Checkpoint::open(folder.path()), folder.path().string(),
                     "no .safetensors file");
  write_file(folder / "notes.txt", "hello, world");
  EXPECT_INPUT_ERROR(Checkpoint::open(folder / "notes.txt"), "notes.txt", "magic");
}

}  // namespace
}  // namespace octet
