// The artefact as ranks see it: each reads its slice and no more, and no damaged byte gets through.
#include <gtest/gtest.h>

#include "runtime/formats/safetensors_folder.h"
#include "runtime/weights/artefact_manifest.h"
#include "runtime/weights/slice_io.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"
#include "tests/weights/artefact_helpers.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

class ArtefactTest : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_folder(folder_ / "in", DType::kBF16);
    quantize(folder_ / "in", out_, {.max_shard_bytes = 4000, .progress = {}});
  }
  TempFolder folder_;
  fs::path out_ = folder_ / "out";
};

TEST_F(ArtefactTest, Ranks_ReadEachByteOnce_AndWhatTheyShareOnEach) {
  for (int size = 1; size <= 6; ++size) {
    uint64_t read = 0, expected = 0;
    for (int rank = 0; rank < size; ++rank) {
      const auto checkpoint = Checkpoint::open(out_);
      const Partition partition(parse_llama(checkpoint->config(), "config"),
                                checkpoint->reduction_shards());
      for (const TensorInfo& info : checkpoint->tensors()) {
        const TensorRule* rule = partition.find(info.name);
        ASSERT_NE(rule, nullptr) << info.name;
        const int64_t extent = info.shape[partition.axis(rule->role)];
        const TensorSlice slice = partition.slice(rule->role, extent, rank, size);
        checkpoint->read(info.name, slice,
                         Tensor::host(info.dtype, slice_shape(info.shape, slice)));
        if (rule->role == Role::kReplicated) {
          expected += info.stored_bytes;
        } else if (rule->role == Role::kKvHeads) {
          const HeadRange heads = partition.heads(rank, size);
          expected += info.stored_bytes / 3 * static_cast<uint64_t>(heads.num_kv());
        } else if (rank == 0) {
          expected += info.stored_bytes;
        }
      }
      read += checkpoint->bytes_read();
    }
    EXPECT_EQ(read, expected) << size << " ranks";
  }
}

TEST_F(ArtefactTest, SlicesOffTheCuts_AreReadAndVerified) {
  const auto checkpoint = Checkpoint::open(out_);
  for (const char* name :
       {"model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.up_proj.weight"}) {
    const Tensor all = read_whole(*checkpoint, name);
    const TensorInfo& info = *checkpoint->find(name);
    for (int axis : {0, 1}) {
      const TensorSlice slice{.axis = axis, .begin = 3, .end = 11};
      const Tensor part = Tensor::host(info.dtype, slice_shape(info.shape, slice));
      checkpoint->read(name, slice, part);
      for (int64_t i = 0; i < part.numel(); ++i) {
        const int64_t row = i / part.dim(1) + (axis == 0 ? 3 : 0);
        const int64_t column = i % part.dim(1) + (axis == 1 ? 3 : 0);
        ASSERT_EQ(part.span<int8_t>()[static_cast<size_t>(i)],
                  all.span<int8_t>()[static_cast<size_t>(row * all.dim(1) + column)]);
      }
    }
  }
}

TEST_F(ArtefactTest, DamageInAnotherRanksPart_IsNotThisRanksError) {
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const SafetensorsFolder files(out_);
  const auto& [file, entry] = files.tensors().at(name);
  std::string bytes = read_file(file->file().path());
  bytes[entry->offset + entry->bytes - 1] ^= 1;  // the last row: part 3 of 4
  write_file(file->file().path(), bytes);

  const auto checkpoint = Checkpoint::open(out_);
  const Tensor half = Tensor::host(DType::kI8, Shape{10, 24});
  checkpoint->read(name, {.axis = 0, .begin = 0, .end = 10}, half);
  EXPECT_INPUT_ERROR(checkpoint->read(name, {.axis = 0, .begin = 10, .end = 20}, half),
                     file->file().path().string(), name, "part 3 of 4", "checksum");
}

TEST_F(ArtefactTest, MissingAndForeignFiles_AreNamed) {
  fs::remove(out_ / "tokenizer.json");
  EXPECT_INPUT_ERROR(Checkpoint::open(out_), (out_ / "tokenizer.json").string(), "No such file");
  write_file(out_ / "tokenizer.json", "{\"version\": \"2.0\"}\n");
  EXPECT_INPUT_ERROR(Checkpoint::open(out_), (out_ / "tokenizer.json").string(), "checksum");
  write_file(out_ / "tokenizer.json", "{}");
  EXPECT_INPUT_ERROR(Checkpoint::open(out_), (out_ / "tokenizer.json").string(), "2 bytes");
}

TEST_F(ArtefactTest, AnotherVersion_IsSaidToBeOne) {
  const std::string path = (out_ / kArtefactManifest).string();
  std::string text = read_file(path);
  const size_t at = text.find("\"version\":2");
  ASSERT_NE(at, std::string::npos);
  text[at + std::string("\"version\":").size()] = '1';  // with a checksum of its own kind
  write_file(path, text);
  EXPECT_INPUT_ERROR(Checkpoint::open(out_), path, "version 1; 2 is known: quantize it again");
}

// A manifest whose own hash is right, but that says what cannot be.
TEST_F(ArtefactTest, ManifestThatContradictsTheFiles_IsNamed) {
  const std::string path = (out_ / kArtefactManifest).string();
  const ArtefactManifest sound = parse_manifest(read_file(path), path);
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const std::pair<std::function<void(ArtefactManifest&)>, std::string> cases[] = {
      {[&](auto& m) {
         m.tensors.at(name).cuts = {0, 5, 10, 15, 21};
       },
       "cuts end at 21"},
      {[&](auto& m) {
         m.tensors.at(name).cuts = {0, 10, 5, 15, 20};
       },
       "cuts do not rise"},
      {[&](auto& m) {
         m.tensors.at(name).cuts = {1, 5, 10, 15, 20};
       },
       "cuts do not rise"},
      {[&](auto& m) { m.tensors.at(name).hashes.pop_back(); }, "one hash a part"},
      {[&](auto& m) { m.tensors.at(name).axis = 2; }, "axis is not an integer in its range"},
      {[&](auto& m) { m.tensors.at(name).file = "../x"; }, "file is not the name of a file"},
      {[&](auto& m) { m.tensors.at(name).file = "octet.json"; }, "file is 'octet.json'"},
      {[&](auto& m) { m.tensors.erase(name); }, "is missing"},
      {[&](auto& m) { m.tensors["z"] = m.tensors.at(name); }, "'z': not in"},
      {[&](auto& m) { m.tensors.at("model.norm.weight").axis = 1; }, "axis 1 of the shape [24]"},
      {[&](auto& m) { m.files.erase("config.json"); }, "config.json is missing"},
      {[&](auto& m) { m.files["/etc/passwd"] = {}; }, "is not that of a file of this folder"},
      {[&](auto& m) { m.reduction_shards = 0; }, "reduction_shards is 0"},
  };
  for (const auto& [damage, message] : cases) {
    ArtefactManifest manifest = sound;
    damage(manifest);
    write_file(path, manifest_text(manifest));
    EXPECT_INPUT_ERROR(Checkpoint::open(out_), path, message);
  }
  write_file(path, manifest_text(sound));
  EXPECT_NO_THROW(read_everything(out_));
}

}  // namespace
}  // namespace octet
