// What tokenizer.ggml.pre names, against the `tokenizers` package: pre_tokenize_str() of the stages
// that the models' tokenizer.json files have.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "runtime/formats/gguf_file.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/formats/expect_input_error.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

std::string words_of(const char* name, std::string text) {
  std::vector<TextPart> parts{{.text = std::move(text), .at_start = true}};
  const auto named = named_tokenizer(name);
  for (const auto& stage : named->pre_tokenizers) {
    std::vector<TextPart> next;
    for (TextPart& part : parts) stage->split(std::move(part), next);
    parts = std::move(next);
  }
  std::vector<std::string> words;
  for (const TextPart& part : parts) words.push_back(part.text);
  return fmt::format("{}", fmt::join(words, "_"));
}

TEST(NamedTokenizer, CutsAreThoseOfTheTokenizersPackage) {
  const std::pair<const char*, const char*> kWords[] = {
      {"gpt-2", "I_'ll_Ġpay_Ġ$_1234_._50_,_Ġ7Â½_%:_Ġd_'_accord_âĢ¦(_ok_)_Ġ_Ġno_?_Ċ"},
      {"smollm", "I_'ll_Ġpay_Ġ$_1_2_3_4_._5_0_,_Ġ_7_Â½_%:_Ġd_'_accord_âĢ¦(_ok_)_Ġ_Ġno_?_Ċ"},
      {"llama-bpe", "I_'ll_Ġpay_Ġ$_123_4_._50_,_Ġ_7Â½_%:_Ġd_'accord_âĢ¦(_ok_)_Ġ_Ġno_?Ċ"},
      {"qwen2", "I_'ll_Ġpay_Ġ$_1_2_3_4_._5_0_,_Ġ_7_Â½_%:_Ġd_'accord_âĢ¦(_ok_)_Ġ_Ġno_?Ċ"},
      {"bloom", "I'll_Ġpay_Ġ$1234_._50_,_Ġ7Â½%:_Ġd'accord_âĢ¦(_ok_)Ġ_Ġno_?Ċ"},
      {"falcon", "I_'_ll_Ġpay_Ġ_$_123_4_._50_,_Ġ7Â½_%:_Ġd_'_accord_âĢ¦(_ok_)_Ġ_Ġno_?_Ċ"},
  };
  for (const auto& [name, words] : kWords) {
    EXPECT_EQ(words_of(name, "I'll pay $1234.50, 7½%: d'accord…(ok)  no?\n"), words) << name;
  }
}

class NamedVocabulary : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& pre) const {
    const std::filesystem::path path = folder_.path() / "tokenizer.gguf";
    write_gguf_metadata(path,
                        {{"tokenizer.ggml.model", std::string("gpt2")},
                         {"tokenizer.ggml.pre", pre},
                         {"tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "ab", "<s>"}},
                         {"tokenizer.ggml.token_type", std::vector<int64_t>{1, 1, 1, 3}},
                         {"tokenizer.ggml.merges", std::vector<std::string>{"a b"}},
                         {"tokenizer.ggml.bos_token_id", uint64_t{3}}});
    return path;
  }

  testing::TempFolder folder_;
};

TEST_F(NamedVocabulary, LlamaThreePutsItsFirstTokenBeforeATextByDefault) {
  EXPECT_EQ(load_tokenizer(write("llama-bpe"))->encode("ab", true, false),
            (std::vector<int32_t>{3, 2}));
  EXPECT_EQ(load_tokenizer(write("qwen2"))->encode("ab", true, false), std::vector<int32_t>{2});
}

TEST_F(NamedVocabulary, AnUnknownName_IsRefusedByFileAndName) {
  EXPECT_INPUT_ERROR(load_tokenizer(write("klingon\n")), "tokenizer.gguf", "tokenizer.ggml.pre",
                     "klingon", "not a known pre-tokenizer");
}

}  // namespace
}  // namespace octet
