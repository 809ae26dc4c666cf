// Vocabularies that the tests carry: the project's own model's, and a small one written here.
#include "runtime/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/request/error.h"
#include "runtime/tokenizer/byte_alphabet.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kStories = fs::path(OCTET_SOURCE_DIR) / "tests/data/tinystories";

json small_vocabulary() {
  json vocab = json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[byte_stand_in(static_cast<uint8_t>(byte))] = byte;
  vocab["he"] = 256;
  vocab["ll"] = 257;
  vocab["hell"] = 258;
  vocab["hello"] = 259;
  return {
      {"version", "1.0"},
      {"added_tokens",
       {{{"id", 260}, {"content", "<|end|>"}, {"special", true}},
        {{"id", 261}, {"content", "<|go|>"}, {"special", true}},
        {{"id", 262}, {"content", "plain"}, {"special", false}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", json::parse(R"({"type": "TemplateProcessing",
          "single": [{"SpecialToken": {"id": "<|go|>"}}, {"Sequence": {"id": "A"}}],
          "special_tokens": {"<|go|>": {"id": "<|go|>", "ids": [261], "tokens": ["<|go|>"]}}})")},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model",
       {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"h e", "l l", "he ll", "hell o"}}}}};
}

class SmallVocabulary : public ::testing::Test {
 protected:
  std::unique_ptr<Tokenizer> load(const json& vocabulary) { return load_text(vocabulary.dump()); }

  std::unique_ptr<Tokenizer> load_text(const std::string& text) {
    std::ofstream(folder_.path() / "tokenizer.json", std::ios::binary) << text;
    return load_tokenizer(folder_.path());
  }

  std::string error_of(const json& vocabulary) {
    try {
      load(vocabulary);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }

  testing::TempFolder folder_;
};

TEST_F(SmallVocabulary, MergesByRankInsideWords) {
  const auto tokenizer = load(small_vocabulary());
  EXPECT_EQ(tokenizer->encode("hello", false, false), (std::vector<int32_t>{259}));
  const std::vector<int32_t> two_words{256, 'l', ' ', 'l', 'o'};
  EXPECT_EQ(tokenizer->encode("hel lo", false, false), two_words);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("hel lo", false, false)), "hel lo");
}

TEST_F(SmallVocabulary, SpecialTokensAreTextUnlessAskedFor) {
  const auto tokenizer = load(small_vocabulary());
  EXPECT_EQ(tokenizer->encode("hello<|end|>", true, true), (std::vector<int32_t>{261, 259, 260}));
  EXPECT_GT(tokenizer->encode("hello<|end|>", false, false).size(), 3u);
  EXPECT_EQ(tokenizer->encode("plain", false, false), (std::vector<int32_t>{262}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{261, 259, 260}), "hello");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{261, 259, 260}, false), "<|go|>hello<|end|>");
}

TEST_F(SmallVocabulary, TheFoldersOtherFilesSayWhatEndsAGeneration) {
  std::ofstream(folder_.path() / "generation_config.json") << R"({"eos_token_id": [260, 261]})";
  std::ofstream(folder_.path() / "tokenizer_config.json")
      << R"({"eos_token": {"content": "<|end|>"}, "bos_token": "<|go|>", "chat_template": "{{ messages[0].content }}"})";
  const auto tokenizer = load(small_vocabulary());
  EXPECT_EQ(tokenizer->eos_ids(), (std::vector<int32_t>{260, 261}));
  EXPECT_EQ(tokenizer->bos_id(), 261);
  EXPECT_EQ(tokenizer->chat_template(), "{{ messages[0].content }}");
}

TEST_F(SmallVocabulary, WhatIsNotUnderstoodIsNamed) {
  const auto expect_error = [&](const char* pointer, const json& value, const std::string& words) {
    json wrong = small_vocabulary();
    wrong[json::json_pointer(pointer)] = value;
    const std::string line = error_of(wrong);
    EXPECT_NE(line.find("tokenizer.json: " + words), line.npos) << line;
  };
  const json bert = {{"type", "BertNormalizer"}};
  const json pattern = {{"Regex", "[a&&b]"}};
  expect_error("/pre_tokenizer", {{"type", "Bert"}}, "pre_tokenizer is of the type 'Bert'");
  expect_error("/pre_tokenizer/use_regexes", true,
               "pre_tokenizer has the field 'use_regexes', which is not understood");
  expect_error("/pre_tokenizer/use_regex", 1, "pre_tokenizer.use_regex is neither");
  expect_error("/pre_tokenizer", {{"type", "Split"}, {"behavior", "Gone"}, {"pattern", pattern}},
               "pre_tokenizer.behavior is 'Gone'");
  expect_error("/pre_tokenizer",
               {{"type", "Split"}, {"behavior", "Isolated"}, {"pattern", pattern}},
               "tokenizer: the pattern [a&&b] has an intersection of classes");
  expect_error("/normalizer", bert, "normalizer is of the type 'BertNormalizer'");
  expect_error("/normalizer", {{"type", "Sequence"}, {"normalizers", {bert}}},
               "normalizer.normalizers[0] is of the type 'BertNormalizer'");
  expect_error("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}},
               "normalizer.precompiled_charsmap has 3 bytes");
  expect_error("/post_processor/single/1", {{"SpecialToken", {{"id", "<|no|>"}}}},
               "post_processor.special_tokens does not have '<|no|>'");
  expect_error("/decoder", {{"type", "CTC"}}, "decoder is of the type 'CTC'");
  expect_error("/model/type", "WordPiece", "model.type is 'WordPiece'");
  expect_error("/model/dropout", 0.5, "model.dropout is not 0");
  expect_error("/model/unk_token", "<unk>", "model.unk_token is not a piece");
  expect_error("/model/merges/4", "hello world", "model.merges entry 4 ('hello', 'world')");
  expect_error("/added_tokens/0/id", -5, "added_tokens[0] gives '<|end|>' the id -5");
  expect_error("/added_tokens/0/id", 5, "added_tokens[0] gives the id 5 to");
  expect_error("/extra", true, "has the field 'extra', which is not understood");
}

TEST_F(SmallVocabulary, MalformedTextIsRefusedWithItsOffset) {
  const auto tokenizer = load(small_vocabulary());
  for (const auto& [text, offset] :
       std::vector<std::pair<std::string, std::string>>{{"ab\xff", "offset 2"},
                                                        {"\xc0\xaf", "offset 0"},
                                                        {"a\xed\xa0\x80", "offset 1"},
                                                        {"\xf4\x90\x80\x80", "offset 0"},
                                                        {"ok\xe2\x82", "offset 2"}}) {
    try {
      tokenizer->encode(text, false, false);
      ADD_FAILURE() << "accepted";
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find(offset), std::string::npos) << error.what();
    }
  }
}

TEST_F(SmallVocabulary, AStreamNeverShowsHalfACharacter) {
  const auto tokenizer = load(small_vocabulary());
  const std::string text = "h\xF0\x9F\x98\x80\xE2\x82\xAC";
  const auto ids = tokenizer->encode(text, false, false);
  StreamDecoder decoder(*tokenizer);
  std::string all;
  for (const int32_t id : ids) {
    const std::string delta = decoder.push(id);
    EXPECT_TRUE(delta.empty() || delta == "h" || delta == "\xF0\x9F\x98\x80" ||
                delta == "\xE2\x82\xAC")
        << delta;
    all += delta;
  }
  EXPECT_EQ(all + decoder.finish(), text);
  StreamDecoder cut(*tokenizer);
  all.clear();
  for (const int32_t id : {0xF0, 0x9F, int{'a'}}) all += cut.push(id);
  EXPECT_EQ(all,
            "\xEF\xBF\xBD"  // one for what could have become one character
            "a");
  StreamDecoder open(*tokenizer);
  EXPECT_EQ(open.push(0xE2), "");
  EXPECT_EQ(open.push(0x82), "");
  EXPECT_EQ(open.finish(), "\xEF\xBF\xBD");
}

TEST_F(SmallVocabulary, TwoThousandMutationsEndInAnErrorOrASoundLoad) {
  const std::string sound = small_vocabulary().dump();
  std::mt19937 generator(1);
  int loaded = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string text = sound;
    for (uint32_t edit = 0; edit <= generator() % 3; ++edit) {
      const size_t at = generator() % text.size();
      if (generator() % 3 == 0)
        text.erase(at, 1 + generator() % 9);
      else
        text[at] ^= static_cast<char>(1u << generator() % 8);
    }
    try {
      const auto tokenizer = load_text(text);
      tokenizer->decode(tokenizer->encode("hello <|end|> w\xC3\xB6rld", true, true));
      ++loaded;
    } catch (const InputError&) {
    }
  }
  EXPECT_GT(loaded, 0);
  EXPECT_LT(loaded, 1900);
}

TEST(TheProjectsVocabulary, AnyTextComesBack) {
  const auto tokenizer = load_tokenizer(kStories);
  std::mt19937 generator(3);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (uint32_t k = 0; k < generator() % 40; ++k) {
      const uint32_t point =
          generator() % 3 == 0 ? 0x20 + generator() % 0x60 : generator() % 0x11000;
      if (point >= 0xD800 && point < 0xE000) continue;
      if (point < 0x80)
        text += static_cast<char>(point);
      else if (point < 0x800)
        (text += static_cast<char>(0xC0 | point >> 6)) += static_cast<char>(0x80 | (point & 63));
      else if (point < 0x10000)
        ((text += static_cast<char>(0xE0 | point >> 12)) +=
         static_cast<char>(0x80 | (point >> 6 & 63))) += static_cast<char>(0x80 | (point & 63));
    }
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, false, false), false), text);
  }
}

TEST(TheProjectsVocabulary, ALongRunIsNotQuadratic) {
  const auto tokenizer = load_tokenizer(kStories);
  EXPECT_GT(tokenizer->encode(std::string(1'000'000, 'a'), false, false).size(), 100000u);
}

}  // namespace
}  // namespace octet
