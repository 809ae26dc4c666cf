// tokenizer.model, the carried one and messages written here.
#include <gtest/gtest.h>

#include <cstring>

#include "runtime/request/error.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

using Ids = std::vector<int32_t>;

// One field of a message: a tag, then a length and bytes or a small number.
std::string bytes_field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string number_field(int number, int value) {
  const int tag = number << 3;
  std::string field(1, static_cast<char>(tag > 0x7F ? tag | 0x80 : tag));
  if (tag > 0x7F) field += static_cast<char>(tag >> 7);
  return field + static_cast<char>(value);
}
std::string piece(const std::string& text, float score, int type) {
  std::string number(sizeof(score), '\0');
  std::memcpy(number.data(), &score, sizeof(score));
  return bytes_field(
      1, bytes_field(1, text) + std::string(1, 2 << 3 | 5) + number + number_field(3, type));
}

const std::string kSpace = "\xE2\x96\x81";
constexpr int kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5;

std::string pieces() {
  return piece("<unk>", 0, kUnknown) + piece("<s>", 0, kControl) + piece("</s>", 0, kControl) +
         piece(kSpace, -3, kNormal) + piece("a", -4, kNormal) + piece("b", -4, kNormal) +
         piece("ab", -1, kUnused) + piece(kSpace + "a", -2, kNormal) +
         piece("bb", -1, kUserDefined);
}

class SentencePiece : public ::testing::Test {
 protected:
  std::unique_ptr<Tokenizer> load(const std::string& model) {
    write_file(folder_ / "tokenizer.model", model);
    return load_tokenizer(folder_.path());
  }
  std::string error_of(const std::string& model) {
    try {
      load(model);
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }
  void expect_error(const std::string& model, const std::string& words) {
    const std::string line = error_of(model);
    EXPECT_NE(line.find("tokenizer.model: " + words), line.npos) << line;
  }

  const TempFolder folder_;
  const std::string bpe_ = bytes_field(2, number_field(3, 2));
  const std::string plain_ = bytes_field(3, number_field(3, 0) + number_field(4, 0));
};

TEST_F(SentencePiece, UnusedPiecesFallApartAndUserDefinedOnesStayWhole) {
  for (const std::string& algorithm : {bpe_, std::string()}) {
    const auto tokenizer = load(pieces() + algorithm + plain_);
    EXPECT_EQ(tokenizer->encode("ab", false, false), (Ids{4, 5}));
    EXPECT_EQ(tokenizer->encode("abb", false, false), (Ids{4, 8}));
    EXPECT_EQ(tokenizer->encode("xyab", false, false), (Ids{0, 4, 5}));
  }
  const auto tempted = load(pieces() + piece("bba", 0, kNormal) + bpe_ + plain_);
  EXPECT_EQ(tempted->encode("bba", false, false), (Ids{8, 4}));
}

TEST_F(SentencePiece, SpacesAreEscapedCollapsedAndGivenBack) {
  const auto tokenizer = load(pieces() + bpe_);
  EXPECT_EQ(tokenizer->encode("  a   b ", false, false), (Ids{7, 3, 5}));
  EXPECT_EQ(tokenizer->decode(Ids{7, 3, 5}), "a b");
  EXPECT_EQ(load(pieces() + bpe_ + plain_)->encode(" a  b", false, false), (Ids{7, 3, 3, 5}));
}

TEST_F(SentencePiece, ControlPiecesAreTokensOnlyWhenAskedFor) {
  const auto tokenizer = load(pieces() + bpe_ + plain_);
  EXPECT_EQ(tokenizer->encode("a</s>", true, true), (Ids{1, 4, 2}));
  EXPECT_EQ(tokenizer->encode("a</s>", false, false), (Ids{4, 0}));
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_ids(), Ids{2});
  write_file(folder_ / "tokenizer_config.json",
             R"({"add_bos_token": false, "add_eos_token": true})");
  EXPECT_EQ(load_tokenizer(folder_.path())->encode("a", true, false), (Ids{4, 2}));
}

TEST_F(SentencePiece, WhatIsNotUnderstoodIsNamed) {
  expect_error(piece("a", 0, kNormal), "has no unknown piece");
  expect_error(pieces() + piece("a", 0, kNormal), "pieces[4] and [9] are both 'a'");
  expect_error(pieces() + piece("", 0, kNormal), "pieces[9] is '' with the score 0");
  expect_error(pieces() + piece("c", 0, 7), "pieces[9].type is 7");
  expect_error(pieces() + bytes_field(2, number_field(3, 3)), "trainer_spec.model_type is 3");
  expect_error(pieces() + bytes_field(2, number_field(24, 1)),
               "trainer_spec.treat_whitespace_as_suffix");
  expect_error(pieces() + bytes_field(2, number_field(35, 1)),
               "has byte_fallback and 0 byte pieces");
  expect_error(pieces() + bytes_field(3, bytes_field(2, "rules")),
               "normalizer_spec.precompiled_charsmap has 5 bytes");
  expect_error(pieces() + bytes_field(5, bytes_field(2, "rules")),
               "denormalizer_spec.precompiled_charsmap");
  expect_error(pieces() + "\x12\x7F", "ends early: 127 bytes wanted, 0 are left");
}

}  // namespace
}  // namespace octet
