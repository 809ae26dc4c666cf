// torch.save's files, damaged: the archive, and the pickle inside a sound archive.
#include <gtest/gtest.h>

#include "runtime/formats/torch_file.h"
#include "tests/formats/expect_sound_or_error.h"
#include "tests/formats/torch_builder.h"

namespace octet {
namespace {

// Opens and reads every tensor: what a made-up range would show in.
void load(const std::filesystem::path& path) {
  const TorchFile file(path);
  for (const TensorEntry& entry : file.entries()) {
    std::vector<std::byte> bytes(entry.bytes);
    file.file().read(entry.offset, bytes);
  }
}

TEST(TorchFuzz, Archive_ThrowsInputErrorOrLoads) {
  TempFolder folder;
  TorchBuilder builder;
  builder.tensor("model.norm.weight", DType::kF32, Shape{4}, std::string(16, 'n'));
  builder.tensor("lm_head.weight", DType::kBF16, Shape{2, 3}, std::string(12, 'h'));
  const std::filesystem::path path = folder / "pytorch_model.bin";
  write_file(path, builder.build());
  expect_errors_or_sound_loads(path, [&] { load(path); });
}

TEST(TorchFuzz, WhatTorchWrote_ThrowsInputErrorOrLoads) {
  for (const char* name : {"module.bin", "protocol4.bin"}) {
    TempFolder folder;
    const std::filesystem::path path = folder / name;
    std::filesystem::copy_file(
        std::filesystem::path(OCTET_SOURCE_DIR "/tests/formats/torch_vectors") / name, path);
    expect_errors_or_sound_loads(path, [&] { load(path); });
  }
}

TEST(TorchFuzz, PickleInASoundArchive_ThrowsInputErrorOrLoads) {
  TempFolder folder;
  const TorchTensor tensor{.name = "t", .elements = 8, .shape = {2, 4}, .strides = {4, 1}};
  const std::string object = pickled_dict(pickled("t") + tensor.pickle());
  const auto archive = [](const std::string& pickle) {
    return torch_archive(pickle, {std::string(32, 'x')}).build();
  };
  const std::filesystem::path path = folder / "pytorch_model.bin";
  write_file(path, archive(object));
  expect_errors_or_sound_loads(
      path, [&] { load(path); },
      [&](Mutator& mutator, const std::string&) { return archive(mutator.mutate(object)); });
}

}  // namespace
}  // namespace octet
