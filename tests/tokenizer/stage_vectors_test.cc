// Each stage of tokenizer.json alone: the ids and texts of the published tokenizers, as
// stage_vectors.py wrote them down.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/tokenizer/tokenizer.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

using nlohmann::json;

TEST(StageVectors, EachStageGivesThePublishedIdsAndTexts) {
  const json vectors =
      json::parse(read_file(OCTET_SOURCE_DIR "/tests/tokenizer/stage_vectors.json"));
  ASSERT_GT(vectors["cases"].size(), 90u);
  TempFolder folder;
  for (const json& stage : vectors["cases"]) {
    SCOPED_TRACE(stage["name"].get<std::string>());
    json file = vectors["base"];
    file.update(stage["parts"]);
    write_file(folder / "tokenizer.json", file.dump());
    const auto tokenizer = load_tokenizer(folder.path());
    for (size_t i = 0; i < stage["texts"].size(); ++i) {
      const auto text = stage["texts"][i].get<std::string>();
      const auto ids = tokenizer->encode(text, true, true);
      EXPECT_EQ(json(ids), stage["ids"][i]) << ::testing::PrintToString(text);
      const json& decoded = stage["decoded"][i];
      if (!decoded.is_null()) {
        EXPECT_EQ(tokenizer->decode(ids), decoded.get<std::string>());
      }
    }
  }
}

}  // namespace
}  // namespace octet
