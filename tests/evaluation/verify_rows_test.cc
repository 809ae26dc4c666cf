// Faults that the mean over a layer hides: one row of a matrix, or a matrix a little too large.
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/tokenizer/tokenizer.h"
#include "tests/evaluation/verify_at.h"
#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kEveryRow = -1;

fs::path tinystories() { return fs::path(OCTET_SOURCE_DIR) / "tests/data/tinystories"; }

std::vector<std::vector<int32_t>> prompts() {
  const auto tokenizer = load_tokenizer(tinystories());
  std::vector<std::vector<int32_t>> ids;
  for (const char* text : {"Once upon a time there was a little girl named Lily. She loved to play "
                           "outside in the park.",
                           "Tom was sad. \"Can I have the red ball?\" he said to his mom, and"}) {
    ids.push_back(tokenizer->encode(text, true, true));
  }
  return ids;
}

void scale_bf16(char* value, float factor) {
  uint16_t half;
  std::memcpy(&half, value, sizeof half);
  const float scaled = std::bit_cast<float>(uint32_t{half} << 16) * factor;
  half = static_cast<uint16_t>((std::bit_cast<uint32_t>(scaled) + 0x8000u) >> 16);
  std::memcpy(value, &half, sizeof half);
}

// A copy of tinystories, a row of one tensor multiplied.
fs::path write_spoilt(const fs::path& folder, const std::string& tensor, int row, float factor) {
  fs::copy(tinystories(), folder);
  const fs::path file = folder / "model.safetensors";
  std::string bytes(fs::file_size(file), '\0');
  std::ifstream(file, std::ios::binary).read(bytes.data(), std::ssize(bytes));
  uint64_t header_size;
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  const json info = json::parse(bytes.substr(8, header_size)).at(tensor);
  const size_t row_bytes = info["shape"][1].get<size_t>() * 2;
  size_t begin = info["data_offsets"][0], end = info["data_offsets"][1];
  if (row != kEveryRow) {
    begin += static_cast<size_t>(row) * row_bytes;
    end = begin + row_bytes;
  }
  for (size_t at = begin; at < end; at += 2) scale_bf16(&bytes[8 + header_size + at], factor);
  std::ofstream(file, std::ios::binary) << bytes;
  return folder;
}

TEST(VerifyRows, ASoundArtefactHasNoFault_AtAnyNumberOfRanks) {
  testing::TempFolder folder;
  const fs::path artefact = testing::quantize(tinystories(), folder.path() / "artefact");
  for (const int ranks : {1, 2, 3}) {
    const VerifyReport report = testing::verify_at(artefact, tinystories(), prompts(), ranks);
    ASSERT_FALSE(report.first) << place_of(*report.first, report.num_layers) << ", "
                               << fault_of(*report.first, 0.1);
    EXPECT_TRUE(report.ok());
  }
}

struct RowFault {
  const char* tensor;
  int row;
  float factor;
  Stage stage;  // that must be named
};

TEST(VerifyRows, ARowLostOrDoubledAndAMatrixTooLargeAreNamedByStageAndChannel) {
  const RowFault faults[] = {
      {"mlp.down_proj", 5, 0, Stage::kMlpOutput},
      {"mlp.down_proj", 5, 2, Stage::kMlpOutput},
      {"mlp.gate_proj", 7, 0, Stage::kMlpHidden},
      {"mlp.up_proj", 301, 2, Stage::kMlpHidden},
      {"self_attn.o_proj", 9, 0, Stage::kAttentionOutput},
      {"self_attn.q_proj", 5, 0, Stage::kQkv},
      {"self_attn.k_proj", 3, 2, Stage::kQkv},
      {"self_attn.k_proj", kEveryRow, 1.09f, Stage::kQkv},
  };
  for (const RowFault& fault : faults) {
    testing::TempFolder folder;
    const std::string tensor = std::string("model.layers.2.") + fault.tensor + ".weight";
    const fs::path artefact =
        testing::quantize(write_spoilt(folder.path() / "spoilt", tensor, fault.row, fault.factor),
                          folder.path() / "artefact");
    const VerifyReport report = testing::verify_at(artefact, tinystories(), prompts(), 2);
    ASSERT_TRUE(report.first) << fault.tensor << " row " << fault.row << " x " << fault.factor;
    EXPECT_EQ(report.first->layer, 2) << fault.tensor;
    EXPECT_EQ(report.first->stage, fault.stage) << fault.tensor;
    // The output's channels are the rows, the hidden ones' a rank's part of them.
    const bool whole = fault.stage == Stage::kMlpOutput || fault.stage == Stage::kAttentionOutput;
    EXPECT_TRUE(!whole || report.first->channel == fault.row) << fault.tensor;
  }
}

// The first token's stream is ten times the others' and so is its noise, which in channel 0 happens
// to be all that it has to say.
TEST(VerifyRows, ALoudTokensNoiseIsNotHeldAgainstAnArtefact) {
  constexpr int kWidth = 8, kTokens = 100;
  StageSquares squares;
  for (int token = 0; token < kTokens; ++token) {
    const float loud = token == 0 ? 100 : 1;
    std::vector<float> reference(kWidth, loud);
    if (token == 0) reference[0] = 1;
    std::vector<float> tested = reference;
    for (int i = 0; i < kWidth; ++i) tested[i] += loud * (i == 0 ? 0.06f : 0.01f);
    squares.add(tested, reference, kWidth);
  }
  StageError error;
  squares.judge(error);
  EXPECT_EQ(fault_of(error, 0.1), "");
}

TEST(VerifyRows, AFewTokensNoiseIsNotHeldAgainstAnArtefact_ManyTokensIs) {
  const std::vector<float> reference{1, 1, 1, 0.1f}, tested{1.01f, 1.01f, 1.01f, 0.2f};
  for (const int tokens : {kFewestTokens, kEnoughTokens}) {
    StageSquares squares;
    for (int token = 0; token < tokens; ++token) squares.add(tested, reference, reference.size());
    StageError error;
    squares.judge(error);
    EXPECT_EQ(fault_of(error, 0.1).empty(), tokens == kFewestTokens) << tokens;
  }
}

TEST(VerifyRows, NoChannelIsJudgedByFewerThanTheFewestTokens) {
  std::vector<float> reference(1000, 1), tested(1000, 1.001f);
  tested[7] = 0;
  for (const int tokens : {kFewestTokens - 1, kFewestTokens}) {
    StageSquares squares;
    for (int token = 0; token < tokens; ++token) squares.add(tested, reference, reference.size());
    StageError error;
    squares.judge(error);
    EXPECT_EQ(error.channel, tokens < kFewestTokens ? -1 : 7) << tokens;
  }
}

TEST(VerifyRows, ATokenWithoutNoiseDoesNotHideWhatOthersShow) {
  const std::vector<float> reference(1000, 1);
  std::vector<float> tested(1000, 1.01f);
  tested[7] = 0;
  StageSquares squares;
  squares.add(reference, reference, reference.size());
  for (int token = 1; token < kEnoughTokens; ++token) squares.add(tested, reference, tested.size());
  StageError error;
  squares.judge(error);
  EXPECT_EQ(error.channel, 7);
  EXPECT_NE(fault_of(error, 0.1), "");
}

TEST(VerifyRows, AShortPromptSeesASoundArtefact_AndALostRow) {
  testing::TempFolder folder;
  const std::vector<std::vector<int32_t>> short_prompt{{1, 403, 407, 261, 378, 432, 396, 267}};
  const auto sound = testing::quantize(tinystories(), folder.path() / "sound");
  EXPECT_TRUE(testing::verify_at(sound, tinystories(), short_prompt, 1).ok());
  const auto spoilt = testing::quantize(
      write_spoilt(folder.path() / "spoilt", "model.layers.2.mlp.down_proj.weight", 5, 0),
      folder.path() / "artefact");
  const VerifyReport report = testing::verify_at(spoilt, tinystories(), short_prompt, 1);
  ASSERT_TRUE(report.first);
  EXPECT_EQ(report.first->channel, 5);
  EXPECT_EQ(report.num_tokens, 8);
}

TEST(VerifyRows, AChannelThatSaysNextToNothingIsNotHeldAgainstAnArtefact) {
  StageSquares squares;
  for (int token = 0; token < kEnoughTokens; ++token) {
    squares.add(std::vector<float>{1.01f, 2.01f, 0.01f, 3.01f}, std::vector<float>{1, 2, 0.001f, 3},
                4);
  }
  StageError error;
  squares.judge(error);
  EXPECT_EQ(error.channel, -1);
  EXPECT_EQ(fault_of(error, 0.1), "");
}

TEST(VerifyRows, AChannelThatNoPromptReachesIsNotHeldAgainstAnArtefact) {
  // As a ReLU leaves them: most are 0 in both models, one comes barely above it.
  std::vector<float> tested(16), reference(16);
  tested[3] = 1e-4f;
  for (int i = 12; i < 16; ++i) {
    reference[i] = 1;
    tested[i] = 1.01f;
  }
  StageSquares squares;
  for (int token = 0; token < kEnoughTokens; ++token) squares.add(tested, reference, 16);
  StageError error;
  squares.judge(error);
  EXPECT_NE(error.channel, 3);
  EXPECT_EQ(fault_of(error, 0.1), "");
}

TEST(VerifyRows, ALayerBesideTheOthersIsAFault_TheStreamIsNone) {
  EXPECT_EQ(fault_of({.stage = Stage::kResidual, .error = 0.08}, 0.1), "");
  EXPECT_EQ(fault_of({.stage = Stage::kMlpOutput, .error = 0.08, .usual = 0.03}, 0.1), "");
  EXPECT_NE(fault_of({.stage = Stage::kMlpOutput, .error = 0.08, .usual = 0.01}, 0.1), "");
}

}  // namespace
}  // namespace octet
