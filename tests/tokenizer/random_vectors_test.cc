// Random strings of all planes: the ids of the `tokenizers` and sentencepiece packages, as hashes
// that random_strings.py wrote down. It compares 20,000 of them where the packages are.
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>

#include "runtime/tokenizer/tokenizer.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kTests = fs::path(OCTET_SOURCE_DIR) / "tests";
const fs::path kShared = fs::path(OCTET_SOURCE_DIR) / "../shared/data/tokenizers";

// FNV-1a over the ids as little-endian 32-bit numbers.
std::string hash_of(const std::vector<int32_t>& ids) {
  uint64_t value = 0xCBF29CE484222325;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      value = (value ^ (static_cast<uint32_t>(id) >> shift & 0xFF)) * 0x100000001B3;
    }
  }
  std::array<char, 17> text;
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

struct Vectors {
  const char* name;
  fs::path path;
};

class RandomVectors : public ::testing::TestWithParam<Vectors> {
 protected:
  // GPT-2's files under the names that a model folder has.
  fs::path vocabulary() const {
    if (GetParam().name != std::string("gpt2")) return GetParam().path;
    for (const auto& [from, to] :
         {std::pair("encoder.json", "vocab.json"), std::pair("vocab.bpe", "merges.txt")}) {
      fs::copy_file(GetParam().path / from, folder_ / to);
    }
    return folder_.path();
  }

  const TempFolder folder_;
};

TEST_P(RandomVectors, EachTextHasTheIdsOfThePackageAndStreamsAsItDecodes) {
  if (!fs::exists(GetParam().path)) {
    GTEST_SKIP() << "no " << GetParam().path << ": the shared test data are not here";
  }
  const json vectors = json::parse(read_file(kTests / "tokenizer/random_vectors.json"));
  const json& hashes = vectors["hashes"][GetParam().name];
  ASSERT_GT(hashes.size(), 200u);
  const auto tokenizer = load_tokenizer(vocabulary());
  for (size_t i = 0; i < hashes.size(); ++i) {
    const auto text = vectors["texts"][i].get<std::string>();
    const auto ids = tokenizer->encode(text, false, false);
    EXPECT_EQ(hash_of(ids), hashes[i].get<std::string>())
        << ::testing::PrintToString(text) << " " << ::testing::PrintToString(ids);
    EXPECT_EQ(vectors["texts"].size(), hashes.size());
    StreamDecoder decoder(*tokenizer);
    std::string streamed;
    for (const int32_t id : ids) {
      const std::string delta = decoder.push(id);
      EXPECT_NO_THROW(tokenizer->encode(delta, false, false)) << "half a character";
      streamed += delta;
    }
    EXPECT_EQ(streamed + decoder.finish(), tokenizer->decode(ids));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RandomVectors,
    ::testing::Values(Vectors{"gpt2", kShared / "gpt2"},
                      Vectors{"gpt-neox", kShared / "gpt-neox/20B_tokenizer.json"},
                      Vectors{"llama-gguf", kShared / "vectors/ggml-vocab-llama-spm.gguf"},
                      Vectors{"carried-unigram", kTests / "tokenizer/data/unigram.json"},
                      Vectors{"carried-unigram-model", kTests / "tokenizer/data/unigram.model"},
                      Vectors{"tinystories", kTests / "data/tinystories/tokenizer.json"}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::erase(name, '-');
      return name;
    });

}  // namespace
}  // namespace octet
