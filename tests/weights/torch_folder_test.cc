// Folders of torch's .bin files as checkpoints and as sources of artefacts.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/formats/expect_input_error.h"
#include "tests/weights/artefact_helpers.h"
#include "tests/weights/stored_tensors.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

class TorchFolderTest : public testing::Test {
 protected:
  // The tiny model as safetensors in `in` and as .bin files in `bin`.
  void write_both(DType dtype, size_t num_files,
                  const std::vector<TinyTensor>& tensors = tiny_tensors()) {
    for (const fs::path& folder : {in_, bin_}) write_tiny_folder(folder, dtype, 1, tensors);
    write_torch(bin_, read_stored(in_), num_files);
  }
  TempFolder folder_;
  fs::path in_ = folder_ / "in", bin_ = folder_ / "bin", out_ = folder_ / "out";
};

TEST_F(TorchFolderTest, EveryTensor_IsTheOneOfSafetensors_OfAnyFloatTypeAndFileCount) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (size_t files : {1, 3}) {
      write_both(dtype, files);
      const auto expected = Checkpoint::open(in_), checkpoint = Checkpoint::open(bin_);
      ASSERT_EQ(checkpoint->tensors().size(), expected->tensors().size());
      for (const TensorInfo& info : expected->tensors()) {
        const TensorInfo* found = checkpoint->find(info.name);
        ASSERT_NE(found, nullptr) << info.name;
        EXPECT_EQ(found->stored_as, info.stored_as);
        const Tensor a = read_whole(*expected, info.name), b = read_whole(*checkpoint, info.name);
        ASSERT_EQ(a.shape(), b.shape());
        EXPECT_EQ(std::memcmp(a.raw_data(), b.raw_data(), a.bytes()), 0) << info.name;
      }
      const Tensor column = Tensor::host(dtype, {40, 1});
      checkpoint->read("model.embed_tokens.weight", {.axis = 1, .begin = 23, .end = 24}, column);
      const auto wanted = read_stored(in_);
      EXPECT_EQ(std::memcmp(column.raw_data(), wanted.at(0).bytes.data() + 23 * dtype_size(dtype),
                            dtype_size(dtype)),
                0);
    }
  }
}

TEST_F(TorchFolderTest, Artefact_IsTheOneOfSafetensors) {
  write_both(DType::kBF16, 3);
  quantize(in_, out_);
  quantize(bin_, folder_ / "bin.out");
  for (const auto& item : fs::directory_iterator(out_)) {
    const fs::path name = item.path().filename();
    EXPECT_EQ(read_file(item.path()), read_file(folder_ / "bin.out" / name)) << name;
  }
}

// 70000 in fp16 is infinity.
TEST_F(TorchFolderTest, NotANumberAndFp16Overflow_AreNamedWithTheirPlace_InBothFormats) {
  for (float bad : {70000.0f, NAN, -INFINITY}) {
    auto tensors = tiny_tensors();
    std::ranges::find(tensors, "model.layers.1.mlp.down_proj.weight", &TinyTensor::name)
        ->values[2 * 20 + 7] = bad;
    write_both(DType::kF16, 2, tensors);
    for (const fs::path& source : {in_, bin_}) {
      EXPECT_INPUT_ERROR(quantize(source, out_), source.string(),
                         "'model.layers.1.mlp.down_proj.weight'", "element [2, 7]",
                         std::isnan(bad) ? "nan" : "inf");
      EXPECT_FALSE(fs::exists(out_));
    }
  }
}

TEST_F(TorchFolderTest, TiedHeadThatIsStoredToo_IsOneTensor) {
  write_both(DType::kF32, 1);
  StoredTensors tensors = read_stored(in_);
  tensors.push_back(tensor_in(tensors, "model.embed_tokens.weight"));
  tensors.back().name = "lm_head.weight";
  write_torch(bin_, tensors);
  quantize(bin_, out_);
  EXPECT_EQ(Checkpoint::open(out_)->find("lm_head.weight"), nullptr);
}

}  // namespace
}  // namespace octet
