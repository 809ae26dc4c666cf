// 2,000 damaged copies each: config.json ends in one InputError or sound values; of the artefact,
// every one is found.
#include <gtest/gtest.h>

#include "runtime/request/error.h"
#include "runtime/weights/artefact_manifest.h"
#include "tests/formats/mutation.h"
#include "tests/formats/temp_folder.h"
#include "tests/weights/artefact_helpers.h"
#include "tests/weights/int8_folders.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
constexpr int kMutations = 2000;

// True: refused, by one InputError of one line.
bool refused(const std::function<void()>& load) {
  try {
    load();
    return false;
  } catch (const InputError& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return true;
  }
}

TEST(WeightsFuzz, Config_ThrowsInputErrorOrGivesArgs) {
  TempFolder folder;
  write_tiny_folder(folder.path(), DType::kBF16);
  const std::string sound = read_file(folder / "config.json");
  Mutator mutator(11);
  for (int i = 0; i < kMutations; ++i) {
    write_file(folder / "config.json", mutator.mutate(sound));
    refused([&] {
      const auto [checkpoint, args] = open_model({.path = folder.path()});
      const Partition partition(args);
      for (Role role : {Role::kVocab, Role::kQueryHeads, Role::kKvHeads, Role::kMlpIn}) {
        EXPECT_GE(partition.cuts(role, partition.extent(role)).size(), 2u);
      }
    });
  }
}

TEST(WeightsFuzz, Gguf_ThrowsInputErrorOrReads) {
  TempFolder folder;
  write_tiny_gguf(folder / "tiny.gguf");
  const std::string sound = read_file(folder / "tiny.gguf");
  const size_t header = sound.size() / 4;  // damage in the data changes values only
  Mutator mutator(12);
  for (int i = 0; i < kMutations; ++i) {
    const std::string head = mutator.mutate(sound.substr(0, header));
    write_file(folder / "tiny.gguf", head + sound.substr(header));
    refused([&] { read_everything(*open_model({.path = folder / "tiny.gguf"}).checkpoint); });
  }
}

TEST(WeightsFuzz, Artefact_EveryDamage_IsFound) {
  TempFolder folder;
  write_tiny_folder(folder / "in", DType::kBF16);
  const fs::path out = folder / "out";
  quantize(folder / "in", out, {.max_shard_bytes = 8000, .progress = {}});
  std::vector<fs::path> files;
  for (const auto& item : fs::directory_iterator(out)) files.push_back(item.path());
  std::ranges::sort(files);
  ASSERT_GE(files.size(), 5u);
  Mutator mutator(13);
  for (int i = 0; i < kMutations; ++i) {
    const fs::path& file = files[static_cast<size_t>(i) % files.size()];
    const std::string sound = read_file(file);
    const std::string damaged = mutator.mutate(sound);
    write_file(file, damaged);
    EXPECT_TRUE(refused([&] { read_everything(out); })) << "mutation " << i << " of " << file;
    write_file(file, sound);
  }
  EXPECT_FALSE(refused([&] { read_everything(out); }));
}

TEST(WeightsFuzz, Int8FoldersConfig_ThrowsInputErrorOrReads) {
  TempFolder folder;
  write_tiny_folder(folder / "in", DType::kBF16);
  quantize(folder / "in", folder / "int8");
  const fs::path path = folder / "int8" / "config.json";
  fs::remove(folder / "int8" / kArtefactManifest);
  auto config = tiny_config();
  config["quantization_config"] = compressed_config();
  const std::string sound = config.dump();
  write_file(path, sound);
  EXPECT_FALSE(refused([&] { read_everything(folder / "int8"); }));
  Mutator mutator(15);
  for (int i = 0; i < kMutations; ++i) {
    write_file(path, mutator.mutate(sound));
    refused([&] { read_everything(folder / "int8"); });
  }
}

// Damage by one who also sets octet.json's own hash right again.
TEST(WeightsFuzz, ManifestWithARightHash_ThrowsInputErrorOrReads) {
  TempFolder folder;
  write_tiny_folder(folder / "in", DType::kBF16);
  const fs::path out = folder / "out", path = out / kArtefactManifest;
  quantize(folder / "in", out);
  const std::string sound = read_file(path);
  Mutator mutator(14);
  for (int i = 0; i < kMutations; ++i) {
    write_file(path, with_own_hash(mutator.mutate(without_own_hash(sound))));
    refused([&] { read_everything(out); });
  }
  write_file(path, with_own_hash(without_own_hash(sound)));
  EXPECT_FALSE(refused([&] { read_everything(out); }));
}

}  // namespace
}  // namespace octet
