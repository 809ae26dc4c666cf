// Weights that stay in the artefact's files: each rank's blocks are its rows and no other's, what
// is not whole blocks is not offered, and no damaged byte gets through.
#include "runtime/weights/mapped_tensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "runtime/formats/safetensors_file.h"
#include "runtime/models/open_model.h"
#include "runtime/weights/hash.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"
#include "tests/testing/tiny_model.h"
#include "tests/weights/artefact_helpers.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

// MLP shards of 32 rows are whole blocks, 17 rows of k and v are not; 150 rows of the head end
// within one.
constexpr testing::TinyLlama kShape{.hidden_size = 68,
                                    .intermediate_size = 130,
                                    .num_attention_heads = 8,
                                    .num_key_value_heads = 2,
                                    .head_dim = 16};
const std::string kUp = "model.layers.1.mlp.up_proj.weight";
const std::string kDown = "model.layers.1.mlp.down_proj.weight";
const std::string kHead = "model.embed_tokens.weight";

class MappedTensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    testing::write_tiny_llama(folder_ / "in", kShape);
    quantize(folder_ / "in", out_);
    reopen();
  }

  void reopen() {
    files_ = open_model({.path = out_});
    partition_.emplace(files_.args, files_.checkpoint->reduction_shards());
  }

  const MappedTensors& mapped() const { return *files_.checkpoint->mapped(); }

  TensorSlice slice(const std::string& name, int rank, int size) const {
    const Role role = partition_->find(name)->role;
    return partition_->slice(role, partition_->extent(role), rank, size);
  }

  // Of a product with this weight, as a layer would have it.
  std::vector<int64_t> column_cuts(const std::string& name) const {
    const Role role = partition_->find(name)->role;
    const int64_t columns = files_.checkpoint->find(name)->shape[1];
    return partition_->axis(role) == 1 ? partition_->cuts(role, columns)
                                       : std::vector<int64_t>{0, columns};
  }

  // Element [row, column] of the weight in blocks that hold all columns.
  static int at(const BlockRows& rows, const WeightBlocks& layout, int64_t row, int64_t column) {
    const auto shard = std::ranges::find_if(
        layout.shards(), [&](const auto& s) { return s.begin <= column && column < s.end; });
    const int64_t place = shard->place + column - shard->begin;
    const int64_t group =
        place / WeightBlocks::kGroup * WeightBlocks::kBlock + row % WeightBlocks::kBlock;
    const std::byte* block = rows.first.get() + row / WeightBlocks::kBlock * rows.stride;
    return static_cast<int>(block[group * WeightBlocks::kGroup + place % WeightBlocks::kGroup]) -
           128;
  }

  void flip_last_byte_of(const std::string& blocks) {
    const fs::path path = out_ / "blocks-00001-of-00001.safetensors";
    const TensorEntry entry = *SafetensorsFile(path).find(blocks);
    std::string bytes = read_file(path);
    bytes[entry.offset + entry.bytes - 1] ^= 1;
    write_file(path, bytes);
    reopen();
  }

  TempFolder folder_;
  fs::path out_ = folder_ / "out";
  ModelFiles files_;
  std::optional<Partition> partition_;
};

TEST_F(MappedTensorsTest, BlocksHoldTheRowsOfTheSlice) {
  for (const std::string& name : {kUp, kDown}) {
    const Tensor all = read_whole(*files_.checkpoint, name);
    const bool of_columns = name == kDown;
    for (int size : {1, 2, 4}) {
      for (int rank = 0; rank < size; ++rank) {
        const TensorSlice own = slice(name, rank, size);
        if (!mapped().has_blocks(name, own, column_cuts(name))) {
          EXPECT_FALSE(of_columns) << "columns can be cut anywhere";
          EXPECT_NE(own.begin % 16 + (own.end == all.dim(0) ? 0 : own.end % 16), 0);
          continue;
        }
        Checks checks(2);
        const BlockRows rows = mapped().blocks(name, own, checks);
        EXPECT_NO_THROW(checks.finish());
        std::vector<int64_t> cuts{0, all.dim(1)};
        if (of_columns) {
          cuts = column_cuts(name);
          cuts = {cuts.begin() + own.part_begin, cuts.begin() + own.part_end + 1};
          for (int64_t& cut : cuts) cut -= own.begin;
        }
        const WeightBlocks layout(DType::kI8, true, cuts);
        const int64_t first_row = of_columns ? 0 : own.begin;
        const int64_t first_column = of_columns ? own.begin : 0;
        ASSERT_EQ(rows.rows, of_columns ? all.dim(0) : own.end - own.begin);
        for (int64_t row = 0; row < rows.rows; ++row) {
          for (int64_t column = 0; column < cuts.back(); ++column) {
            ASSERT_EQ(at(rows, layout, row, column),
                      all.data<int8_t>()[(first_row + row) * all.dim(1) + first_column + column])
                << name << " rank " << rank << " of " << size;
          }
        }
      }
    }
  }
}

TEST_F(MappedTensorsTest, WhatIsNotWholeBlocksOrParts_IsNotOffered) {
  const std::vector<int64_t> columns = column_cuts(kUp);
  const auto has = [&](const std::string& name, TensorSlice slice, std::vector<int64_t> cuts) {
    return mapped().has_blocks(name, slice, cuts);
  };
  EXPECT_TRUE(has(kUp, {.axis = 0, .begin = 0, .end = 130}, columns));
  EXPECT_FALSE(has(kUp, {.axis = 0, .begin = 0, .end = 65}, columns));
  EXPECT_FALSE(has(kUp, {.axis = 0, .begin = 16, .end = 130}, columns)) << "not a part";
  EXPECT_FALSE(has(kUp, {.axis = 1, .begin = 0, .end = 68}, columns));
  EXPECT_FALSE(has(kUp, {.axis = 0, .begin = 0, .end = 130}, {0, 34, 68})) << "other shards";
  EXPECT_FALSE(has(kDown, slice(kDown, 0, 1), {0, 130}));
  EXPECT_FALSE(has("model.norm.weight", {.axis = 0, .begin = 0, .end = 68}, {0, 1}));
  EXPECT_TRUE(mapped().has_rows(kHead, {.axis = 0, .begin = 0, .end = 150}));
  EXPECT_FALSE(mapped().has_rows(kHead, {.axis = 0, .begin = 1, .end = 150}));
  EXPECT_FALSE(mapped().has_rows(kDown, {.axis = 0, .begin = 0, .end = 68})) << "of columns";
}

TEST_F(MappedTensorsTest, TablesAreTheFilesRows) {
  const Tensor all = read_whole(*files_.checkpoint, kHead);
  const TensorSlice own = slice(kHead, 1, 3);
  Checks checks(2);
  const Tensor rows = mapped().rows(kHead, own, checks);
  EXPECT_NO_THROW(checks.finish());
  const Tensor expected = all.rows(own.begin, own.end);
  ASSERT_EQ(rows.shape(), expected.shape());
  ASSERT_EQ(rows.dtype(), expected.dtype());
  EXPECT_EQ(std::memcmp(rows.raw_data(), expected.raw_data(), rows.bytes()), 0);
}

TEST_F(MappedTensorsTest, DamageIsFound_ByWhoMapsIt) {
  flip_last_byte_of(kDown + "_blocks");
  const std::string file = (out_ / "blocks-00001-of-00001.safetensors").string();
  Checks of_first(2), of_last(2);
  mapped().blocks(kDown, slice(kDown, 0, 2), of_first);
  mapped().blocks(kDown, slice(kDown, 1, 2), of_last);
  EXPECT_NO_THROW(of_first.finish());
  EXPECT_INPUT_ERROR(of_last.finish(), file, kDown, "part 3 of 4", "checksum");
  EXPECT_INPUT_ERROR(read_everything(*files_.checkpoint), file, kDown, "is not what the weight");
  EXPECT_NO_THROW(read_whole(*files_.checkpoint, kDown)) << "the weight itself is whole";
}

// Hashes that match, as of an artefact that somebody made by hand.
TEST_F(MappedTensorsTest, FloatsThatAreNotFinite_AreNamed) {
  const fs::path path = out_ / "blocks-00001-of-00001.safetensors";
  const std::string manifest_path = (out_ / kArtefactManifest).string();
  const TensorEntry entry = *SafetensorsFile(path).find(kHead + "_blocks");
  ArtefactManifest manifest = parse_manifest(read_file(manifest_path), manifest_path);
  ArtefactTensor& head = manifest.blocks.at(kHead);
  std::string bytes = read_file(path);
  const float bad = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + entry.offset + entry.bytes - sizeof bad, &bad, sizeof bad);
  const uint64_t begin = entry.offset + entry.bytes / static_cast<uint64_t>(entry.shape[0]) *
                                            static_cast<uint64_t>(head.cuts.rbegin()[1]);
  head.hashes.back() = hash_bytes(
      std::as_bytes(std::span(bytes).subspan(begin, entry.offset + entry.bytes - begin)));
  write_file(path, bytes);
  write_file(manifest_path, manifest_text(manifest));
  reopen();
  Checks checks(2);
  mapped().blocks(kHead, slice(kHead, 0, 1), checks);
  EXPECT_INPUT_ERROR(checks.finish(), path.string(), kHead, "a value is nan");
}

TEST_F(MappedTensorsTest, FloatsOffTheirAlignment_AreNotOffered) {
  EXPECT_TRUE(mapped().has_blocks(kHead, slice(kHead, 0, 1), column_cuts(kHead)));
  const fs::path path = out_ / "blocks-00001-of-00001.safetensors";
  const std::string manifest_path = (out_ / kArtefactManifest).string();
  ArtefactManifest manifest = parse_manifest(read_file(manifest_path), manifest_path);
  std::string bytes = read_file(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  bytes.insert(sizeof length + length, " ");
  ++length;
  std::memcpy(bytes.data(), &length, sizeof length);
  manifest.files.at(path.filename().string()) = {
      .bytes = bytes.size(),
      .hash = hash_bytes(std::as_bytes(std::span(bytes).first(sizeof length + length)))};
  write_file(path, bytes);
  write_file(manifest_path, manifest_text(manifest));
  reopen();
  EXPECT_FALSE(mapped().has_blocks(kHead, slice(kHead, 0, 1), column_cuts(kHead)));
  EXPECT_TRUE(mapped().has_blocks(kUp, slice(kUp, 0, 1), column_cuts(kUp))) << "bytes lie anywhere";
}

TEST_F(MappedTensorsTest, WithoutBlocks_OnlyTablesAreMapped) {
  quantize(folder_ / "in", folder_ / "bare", {.blocks = false, .progress = {}});
  const auto bare = Checkpoint::open(folder_ / "bare");
  EXPECT_FALSE(bare->mapped()->has_blocks(kUp, slice(kUp, 0, 1), column_cuts(kUp)));
  EXPECT_TRUE(bare->mapped()->has_rows(kHead, slice(kHead, 0, 1)));
  EXPECT_FALSE(fs::exists(folder_ / "bare" / "blocks-00001-of-00001.safetensors"));
}

// A manifest whose own hash is right, but whose blocks cannot be.
TEST_F(MappedTensorsTest, BlocksThatContradictTheirWeight_AreNamed) {
  const std::string path = (out_ / kArtefactManifest).string();
  const ArtefactManifest sound = parse_manifest(read_file(path), path);
  const std::pair<std::function<void(ArtefactManifest&)>, std::string> cases[] = {
      {[&](auto& m) { m.blocks["z"] = m.blocks.at(kUp); }, "there is no such tensor"},
      {[&](auto& m) { m.blocks.at(kUp).file = "config.json"; }, "config.json"},
      {[&](auto& m) { m.blocks.at(kUp).file = "other.safetensors"; }, "is not among the files"},
      {[&](auto& m) { m.blocks.at(kUp).file = "../x"; }, "is not the name of a file"},
      {[&](auto& m) { m.blocks.at(kUp).axis = 1; }, "axis 1 of I8"},
      {[&](auto& m) { m.blocks["model.norm.weight"] = m.blocks.at(kUp); }, "not in blocks-"},
      {[&](auto& m) { m.blocks.at(kUp).cuts.back() += 1; }, "cuts end at 10"},
      {[&](auto& m) { m.blocks.at(kDown).cuts[1] += 1; }, "cuts"},
      {[&](auto& m) { m.tensors.at(kDown).cuts[1] += 4; }, "cuts"},
      {[&](auto& m) { m.blocks.at(kDown).hashes.pop_back(); }, "one hash a part"},
  };
  for (const auto& [damage, message] : cases) {
    ArtefactManifest manifest = sound;
    damage(manifest);
    write_file(path, manifest_text(manifest));
    EXPECT_INPUT_ERROR(Checkpoint::open(out_), message);
  }
}

}  // namespace
}  // namespace octet
