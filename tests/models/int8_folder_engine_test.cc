// An int8 folder of compressed-tensors runs as it is, and as the artefact that has the same
// weights.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"
#include "tests/weights/int8_folders.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

TEST(Int8FolderEngine, AnswersAreTheArtefacts_AtAnyNumberOfRanks) {
  const testing::TempFolder folder;
  const testing::TinyLlama shape;
  const fs::path model = testing::write_tiny_llama(folder.path() / "model", shape);
  const fs::path artefact = testing::quantize(model, folder.path() / "artefact");
  const fs::path int8 = folder.path() / "int8";
  fs::copy(artefact, int8);
  fs::remove(int8 / "octet.json");
  auto config = nlohmann::json::parse(std::ifstream(int8 / "config.json"));
  config["quantization_config"] = compressed_config();
  std::ofstream(int8 / "config.json") << config;

  const auto requests = testing::random_requests(6, 40, 12, shape.vocab_size, 5);
  const auto answers = [&](const fs::path& checkpoint, const char* quantization, int ranks) {
    EngineOptions options;
    options.model = checkpoint;
    options.quantization = quantization;
    options.kv_cache_memory = 16 << 20;
    return testing::answer_all(options, ranks, requests);
  };
  for (const char* quantization : {"auto", "w8a8", "none"}) {
    const auto expected = answers(artefact, quantization, 1);
    ASSERT_EQ(expected.size(), requests.size());
    for (int ranks : {1, 3}) {
      EXPECT_TRUE(answers(int8, quantization, ranks) == expected) << quantization << ", " << ranks;
    }
  }
}

}  // namespace
}  // namespace octet
