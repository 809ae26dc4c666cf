// vocab.json with merges.txt, made of the tokenizer.json that the project carries, and the files
// that may stand beside them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/request/error.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

const std::filesystem::path kTinyStories = OCTET_SOURCE_DIR "/tests/data/tinystories";
constexpr const char* kText = "Once upon a time,\n\n  there wasn't 1 caf\xC3\xA9 <|endoftext|>";

class VocabAndMerges : public ::testing::Test {
 protected:
  VocabAndMerges() {
    const json model = json::parse(read_file(kTinyStories / "tokenizer.json"))["model"];
    std::string merges = "#version: 0.2\n";
    for (const json& merge : model["merges"]) {
      merges += merge.is_string() ? merge.get<std::string>()
                                  : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
      merges += '\n';
    }
    write_file(folder_ / "vocab.json", model["vocab"].dump());
    write_file(folder_ / "merges.txt", merges);
  }

  const TempFolder folder_;
};

TEST_F(VocabAndMerges, GiveTheIdsOfTheSameTokenizerJson) {
  const auto ours = load_tokenizer(folder_.path());
  const auto same = load_tokenizer(kTinyStories / "tokenizer.json");
  for (const bool parse_special : {false, true}) {
    const Ids ids = ours->encode(kText, false, parse_special);
    EXPECT_EQ(ids, same->encode(kText, false, parse_special));
    EXPECT_EQ(ours->decode(ids, false), kText);
  }
  EXPECT_EQ(ours->eos_ids(), Ids{0});
}

TEST_F(VocabAndMerges, TokensOfTheFilesBesideThemAreAdded) {
  const int32_t next = load_tokenizer(folder_.path())->vocab_size();
  write_file(folder_ / "added_tokens.json",
             json{{"<|user|>", next}, {"<|more|>", next + 1}}.dump());
  const json user = {{"content", "<|user|>"}, {"special", true}, {"rstrip", true}};
  write_file(folder_ / "tokenizer_config.json",
             json{{"added_tokens_decoder", {{std::to_string(next), user}}}}.dump());
  const auto tokenizer = load_tokenizer(folder_.path());
  EXPECT_EQ(tokenizer->encode("<|user|>  <|more|>", false, true), (Ids{next, next + 1}));
  EXPECT_EQ(tokenizer->encode("<|more|>", false, false), (Ids{next + 1}));
  EXPECT_GT(tokenizer->encode("<|user|>", false, false).size(), 1u);
}

TEST_F(VocabAndMerges, AnotherClassOfTokenizersIsRefusedByName) {
  write_file(folder_ / "tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizerFast"})");
  try {
    load_tokenizer(folder_.path());
    ADD_FAILURE() << "accepted";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("tokenizer_class is 'RobertaTokenizer'"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace octet
