// Files as torch.save writes them, sound and malformed; what torch itself wrote is in
// torch_vectors_test.cc.
#include "runtime/formats/torch_file.h"

#include <gtest/gtest.h>

#include <functional>

#include "runtime/formats/tensor_folder.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"
#include "tests/formats/torch_builder.h"

namespace octet {
namespace {

class TorchFileTest : public testing::Test {
 protected:
  TorchFile load(const std::string& bytes) {
    write_file(path_, bytes);
    return TorchFile(path_);
  }
  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "pytorch_model.bin";
};

// 2 x 3 floats at element 1 of a storage of 8.
TorchTensor sound() {
  return {.name = "t", .elements = 8, .offset = 1, .shape = {2, 3}, .strides = {3, 1}};
}

ZipBuilder archive_of(const TorchTensor& tensor) {
  return torch_archive(pickled_dict(pickled(tensor.name) + tensor.pickle()),
                       {"00001111222233334444555566667777"});
}

TEST_F(TorchFileTest, Tensor_IsAByteRangeOfItsStorage) {
  const std::string bytes = archive_of(sound()).build();
  const TorchFile file = load(bytes);
  ASSERT_EQ(file.entries().size(), 1u);
  const TensorEntry& entry = file.entries()[0];
  EXPECT_EQ(entry.shape, (Shape{2, 3}));
  EXPECT_EQ(bytes.substr(entry.offset, entry.bytes), "111122223333444455556666");
}

TEST_F(TorchFileTest, StridesOfSingleRows_DoNotMatter) {
  TorchTensor tensor = sound();
  tensor.shape = {1, 3, 1};
  tensor.strides = {99, 1, 7};
  EXPECT_EQ(load(archive_of(tensor).build()).entries()[0].bytes, 12u);
}

struct MalformedTorchTensor {
  const char* what;
  std::function<void(TorchTensor&)> damage;
  std::string message;
};

const MalformedTorchTensor kMalformedTorchTensors[] = {
    {"class", [](auto& t) { t.storage_class = "ComplexFloatStorage"; }, "ComplexFloatStorage is"},
    {"unknown class", [](auto& t) { t.storage_class = "QInt8Storage"; }, "'torch.QInt8Storage'"},
    {"key", [](auto& t) { t.key = "7"; }, "'t': its storage '7' is missing"},
    {"key of another folder", [](auto& t) { t.key = "../data.pkl"; }, "is missing"},
    {"storage", [](auto& t) { t.elements = 9; }, "has 32 bytes, not 9 x F32"},
    {"huge storage", [](auto& t) { t.elements = INT64_MAX; }, "has 32 bytes"},
    {"negative storage", [](auto& t) { t.elements = -8; }, "size is not a non-negative"},
    {"offset", [](auto& t) { t.offset = 3; }, "[2, 3] at element 3 passes its storage of 8"},
    {"huge offset", [](auto& t) { t.offset = INT64_MAX; }, "passes its storage of 8"},
    {"negative offset", [](auto& t) { t.offset = -1; }, "offset is not a non-negative integer"},
    {"shape",
     [](auto& t) {
       t.shape = {3, 3};
     },
     "passes its storage"},
    {"negative shape",
     [](auto& t) {
       t.shape = {2, -3};
     },
     "shape is not a non-negative"},
    {"huge shape",
     [](auto& t) {
       t.shape = {1ll << 40, 1ll << 40};
     },
     "shape: dimension 1"},
    {"rank",
     [](auto& t) {
       t.shape = t.strides = {1, 1, 1, 1, 1};
     },
     "more than 4 dimensions"},
    {"transposed",
     [](auto& t) {
       t.strides = {1, 2};
     },
     "not contiguous"},
    {"expanded",
     [](auto& t) {
       t.strides = {0, 1};
     },
     "dimension 0 has stride 0, where 3 is due"},
    {"every second", [](auto& t) { t.shape = {3}, t.strides = {2}; }, "not contiguous"},
    {"too few strides", [](auto& t) { t.strides = {1}; }, "not as many strides"},
};

TEST_F(TorchFileTest, MalformedTensor_IsNamed) {
  for (const MalformedTorchTensor& malformed : kMalformedTorchTensors) {
    SCOPED_TRACE(malformed.what);
    TorchTensor tensor = sound();
    malformed.damage(tensor);
    EXPECT_INPUT_ERROR(load(archive_of(tensor).build()), path_.string(), malformed.message);
  }
}

TEST_F(TorchFileTest, MalformedObject_IsNamed) {
  const std::string tensor = sound().pickle(), storage(32, 'x');
  const std::pair<std::string, std::string> cases[] = {
      {pickled("a"), "holds no dict"},
      {tensor, "holds no dict"},
      {pickled_dict("K\x01" + tensor), "a key is not a string"},
      {pickled_dict(pickled("t") + "K\x01"), "tensor 't': is not a tensor"},
      {pickled_dict(pickled("t") + tensor + pickled("t") + tensor), "tensor 't' appears twice"},
      {pickled_dict(pickled("t") + pickled_call("torch._utils", "_rebuild_tensor_v2", {})),
       "made of 0 arguments"},
      {pickled_dict(pickled("t") + pickled_call("torch", "FloatStorage", {"K\x01"})),
       "is not a tensor"},
      {pickled_dict(pickled("model") + pickled_dict(pickled("t") + "N")), "'t': is not a tensor"},
  };
  for (const auto& [object, message] : cases) {
    SCOPED_TRACE(message);
    EXPECT_INPUT_ERROR(load(torch_archive(object, {storage}).build()), path_.string(), message);
  }
}

TEST_F(TorchFileTest, MalformedArchive_IsNamed) {
  const auto with = [&](const std::function<void(ZipBuilder&)>& damage) {
    ZipBuilder zip = archive_of(sound());
    damage(zip);
    return zip.build();
  };
  EXPECT_INPUT_ERROR(load(with([](auto& z) { z.entries[1].data = "bigend"; })), "byteorder");
  EXPECT_INPUT_ERROR(load(with([](auto& z) { z.entries[2].method = 8; })),
                     "entry 'model/data/0' is compressed");
  EXPECT_INPUT_ERROR(load(with([](auto& z) { z.add("b/data.pkl", "N."); })), "two data.pkl");
  EXPECT_INPUT_ERROR(load(with([](auto& z) { z.add("model/constants.pkl", ""); })), "TorchScript");
  ZipBuilder other;
  other.add("notes.txt", "hello");
  EXPECT_INPUT_ERROR(load(other.build()), "without torch.save's data.pkl");
}

TEST_F(TorchFileTest, Folder_TakesTheIndexOrTheOneFile_AndSafetensorsFirst) {
  EXPECT_INPUT_ERROR(TensorFolder{folder_.path()},
                     "no .safetensors file and no pytorch_model*.bin");
  write_file(folder_ / "training_args.bin", "not weights");
  load(archive_of(sound()).build());
  EXPECT_EQ(TensorFolder{folder_.path()}.tensors().size(), 1u);
  EXPECT_EQ(&TensorFolder{folder_.path()}.format(), &kTorchFormat);
  std::filesystem::rename(path_, folder_ / "pytorch_model-00001-of-00002.bin");
  TorchTensor second = sound();
  second.name = "u";
  write_file(folder_ / "pytorch_model-00002-of-00002.bin", archive_of(second).build());
  EXPECT_INPUT_ERROR(TensorFolder{folder_.path()}, "2 pytorch_model.bin files, but no",
                     "pytorch_model.bin.index.json");
  write_file(folder_ / kTorchFormat.index,
             R"({"weight_map":{"t":"pytorch_model-00001-of-00002.bin",)"
             R"("u":"pytorch_model-00002-of-00002.bin"}})");
  const TensorFolder folder(folder_.path());
  EXPECT_EQ(folder.files().size(), 2u);
  EXPECT_EQ(folder.tensors().at("u").file->file().path().filename(),
            "pytorch_model-00002-of-00002.bin");
  write_file(folder_ / "model.safetensors", std::string("\2\0\0\0\0\0\0\0{}", 10));
  EXPECT_EQ(&TensorFolder{folder_.path()}.format(), &kSafetensorsFormat);
}

}  // namespace
}  // namespace octet
