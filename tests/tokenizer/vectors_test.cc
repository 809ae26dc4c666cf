// Real vocabularies against published ids: every text of ../shared/data/tokenizers/vectors.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/tokenizer/tokenizer.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

const fs::path kVectors = fs::path(OCTET_SOURCE_DIR) / "../shared/data/tokenizers/vectors";

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Texts are separated by lines of this; the file's form ends with one.
std::vector<std::string> texts_of(const fs::path& path) {
  const std::string all = read(path), mark = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  size_t begin = 0;
  for (size_t at = all.find(mark); at != all.npos; at = all.find(mark, begin)) {
    texts.push_back(all.substr(begin, at - begin));
    begin = at + mark.size();
  }
  return texts;
}

class Vectors : public ::testing::TestWithParam<const char*> {};

TEST_P(Vectors, EveryTextHasItsPublishedIdsAndDecodesBack) {
  const fs::path gguf = kVectors / (std::string("ggml-vocab-") + GetParam() + ".gguf");
  if (!fs::exists(gguf)) GTEST_SKIP() << "no " << gguf << ": the shared test data are not here";
  const auto tokenizer = load_tokenizer(gguf);
  const auto texts = texts_of(gguf.string() + ".inp");
  std::istringstream lines(read(gguf.string() + ".out"));
  ASSERT_GT(texts.size(), 40u);
  for (const std::string& text : texts) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    std::istringstream numbers(line);
    const std::vector<int32_t> expected{std::istream_iterator<int32_t>(numbers), {}};
    const auto ids = tokenizer->encode(text, false, false);
    EXPECT_EQ(ids, expected) << ::testing::PrintToString(text);
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

INSTANTIATE_TEST_SUITE_P(Real, Vectors, ::testing::Values("gpt-2", "llama-spm", "mpt", "phi-3"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace octet
