// Damaged copies of small vocabularies: an InputError of one line that names the file, or a sound
// load, never anything else (allocation_limit.cc and the sanitizers watch).
#include <gtest/gtest.h>

#include "runtime/request/error.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/formats/mutation.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

const std::filesystem::path kData = OCTET_SOURCE_DIR "/tests/tokenizer/data";

// A loaded one must stand use.
void use(const Tokenizer& tokenizer) {
  const auto ids = tokenizer.encode("The sing<sep> \xEF\xBC\xA1 1/2 \xE6\xBC\xA2\n  x", true, true);
  tokenizer.decode(ids, false);
  for (int32_t id = 0; id < std::min(tokenizer.vocab_size(), 300); ++id) {
    tokenizer.token_bytes(id, false, true);
  }
}

void expect_errors_or_sound_loads(const TempFolder& folder, const std::string& name,
                                  int mutations) {
  const std::string sound = read_file(folder / name);
  use(*load_tokenizer(folder.path()));
  Mutator mutator(11);
  int refused = 0;
  for (int i = 0; i < mutations; ++i) {
    write_file(folder / name, mutator.mutate(sound));
    try {
      use(*load_tokenizer(folder.path()));
    } catch (const InputError& error) {
      ++refused;
      const std::string line = error.what();
      EXPECT_EQ(line.find('\n'), line.npos) << line;
      EXPECT_NE(line.find(folder.path().string()), line.npos) << line;
    } catch (const std::exception& error) {
      FAIL() << "mutation " << i << ": " << error.what();
    }
  }
  EXPECT_GT(refused, mutations / 8);
  write_file(folder / name, sound);
}

TEST(TokenizerFuzz, SentencePieceModel_ThrowsInputErrorOrLoads) {
  TempFolder folder;
  write_file(folder / "tokenizer.model", read_file(kData / "unigram.model"));
  expect_errors_or_sound_loads(folder, "tokenizer.model", 2000);
}

TEST(TokenizerFuzz, TokenizerJson_ThrowsInputErrorOrLoads) {
  TempFolder folder;
  write_file(folder / "tokenizer.json", read_file(kData / "unigram.json"));
  expect_errors_or_sound_loads(folder, "tokenizer.json", 1000);
}

TEST(TokenizerFuzz, VocabAndMerges_ThrowInputErrorOrLoad) {
  TempFolder folder;
  write_file(folder / "vocab.json", R"({"a":0,"b":1,"ab":2,"abab":3,"<|endoftext|>":4,"T":5})");
  write_file(folder / "merges.txt", "#version: 0.2\na b\nab ab\n");
  expect_errors_or_sound_loads(folder, "vocab.json", 1000);
  expect_errors_or_sound_loads(folder, "merges.txt", 1000);
}

}  // namespace
}  // namespace octet
