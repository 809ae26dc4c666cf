// octet verify against seeded faults: a checkpoint is spoilt, quantised, and held against the sound
// one; the report must name the layer.
#include "runtime/evaluation/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/evaluation/verify_at.h"
#include "tests/formats/expect_input_error.h"
#include "tests/testing/formula_model.h"
#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Values = std::vector<float>;

json model_of(const std::string& name) {
  return json::parse(
      std::ifstream(fs::path(OCTET_SOURCE_DIR) / "tests/models/families" / (name + ".json")));
}

VerifyReport verify_at(const fs::path& artefact, const fs::path& sound, const json& model,
                       int ranks) {
  return testing::verify_at(artefact, sound,
                            model["prompts"].get<std::vector<std::vector<int32_t>>>(), ranks);
}

// Rows of a [rows, columns] matrix in another order.
void reorder_rows(Values& values, size_t rows, const std::function<size_t(size_t)>& source) {
  const Values before = values;
  const size_t columns = values.size() / rows;
  for (size_t row = 0; row < rows; ++row) {
    std::copy_n(before.begin() + source(row) * columns, columns, values.begin() + row * columns);
  }
}

void transpose(Values& values) {
  const auto n = static_cast<size_t>(std::lround(std::sqrt(values.size())));
  ASSERT_EQ(n * n, values.size());
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) std::swap(values[i * n + j], values[j * n + i]);
  }
}

void swap_column_halves(Values& values, size_t rows) {
  const size_t columns = values.size() / rows;
  for (size_t row = 0; row < rows; ++row) {
    std::swap_ranges(values.begin() + row * columns, values.begin() + row * columns + columns / 2,
                     values.begin() + row * columns + (columns + 1) / 2);
  }
}

// What a row is when its scale was lost: int8 values as they stand.
void lose_scales(Values& values, size_t rows) {
  const size_t columns = values.size() / rows;
  for (size_t row = 0; row < rows; ++row) {
    float absmax = 0;
    for (size_t k = 0; k < columns; ++k) {
      absmax = std::max(absmax, std::fabs(values[row * columns + k]));
    }
    for (size_t k = 0; k < columns; ++k) values[row * columns + k] *= 127 / absmax;
  }
}

struct Fault {
  const char* what;
  const char* family;
  const char* tensor;
  int layer;  // that must be named; -1: the embedding
  std::function<void(Values&)> spoil;
};

// [heads, 3, d] rows as [3, heads, d].
std::function<void(Values&)> qkv_order(size_t heads, size_t d) {
  return [=](Values& values) {
    reorder_rows(values, heads * 3 * d, [=](size_t row) {
      const size_t part = row / (heads * d), head = row / d % heads;
      return (head * 3 + part) * d + row % d;
    });
  };
}

const std::vector<Fault>& faults() {
  const auto halves = [](size_t rows) {
    return [=](Values& values) { swap_column_halves(values, rows); };
  };
  const auto scales = [](size_t rows) {
    return [=](Values& values) { lose_scales(values, rows); };
  };
  const auto shift = [](size_t by) {
    return [=](Values& values) {
      std::rotate(values.begin(), values.begin() + static_cast<int64_t>(by), values.end());
    };
  };
  static const std::vector<Fault> faults{
      {"shards swapped", "opt", "model.decoder.layers.1.fc2.weight", 1, halves(48)},
      {"shards swapped", "llama", "model.layers.0.mlp.down_proj.weight", 0, halves(48)},
      {"shards swapped", "bloom", "transformer.h.1.self_attention.dense.weight", 1, halves(72)},
      {"shards swapped", "mistral", "model.layers.2.self_attn.o_proj.weight", 2, halves(48)},
      {"shards swapped", "palm", "model.layers.1.mlp.down_proj.weight", 1, halves(72)},
      {"QKV order", "bloom", "transformer.h.0.self_attention.query_key_value.weight", 0,
       qkv_order(6, 12)},
      {"QKV order", "bloom", "transformer.h.1.self_attention.query_key_value.weight", 1,
       qkv_order(6, 12)},
      {"QKV order", "gpt_neox", "gpt_neox.layers.1.attention.query_key_value.weight", 1,
       qkv_order(6, 16)},
      {"QKV order", "bloom", "transformer.h.1.self_attention.query_key_value.bias", 1,
       qkv_order(6, 12)},
      {"position offset", "opt", "model.decoder.embed_positions.weight", -1, shift(2 * 48)},
      {"position offset", "opt_350m", "model.decoder.embed_positions.weight", -1, shift(2 * 64)},
      {"position offset", "gpt2", "transformer.wpe.weight", -1, shift(48)},
      {"scales lost", "opt", "model.decoder.layers.2.self_attn.out_proj.weight", 2, scales(48)},
      {"scales lost", "llama", "model.layers.0.self_attn.v_proj.weight", 0, scales(16)},
      {"scales lost", "qwen3", "model.layers.2.mlp.up_proj.weight", 2, scales(112)},
      {"scales lost", "falcon_7b", "transformer.h.1.mlp.dense_4h_to_h.weight", 1, scales(56)},
      {"transposed", "opt", "model.decoder.layers.1.self_attn.q_proj.weight", 1, transpose},
      {"transposed", "gpt2", "transformer.h.2.attn.c_proj.weight", 2, transpose},
      {"transposed", "gptj", "transformer.h.0.attn.k_proj.weight", 0, transpose},
      {"transposed", "bloom", "transformer.h.0.self_attention.dense.weight", 0, transpose},
  };
  return faults;
}

TEST(Verify, ASoundArtefactIsTheSameModel_AtAnyNumberOfRanks) {
  for (const char* name : {"gpt2", "opt", "opt_350m", "bloom", "palm", "llama", "falcon_40b"}) {
    testing::TempFolder folder;
    const json model = model_of(name);
    const fs::path sound = testing::write_formula_model(folder.path() / "sound", model);
    const bool int8_head = name == std::string("palm") || name == std::string("llama");
    const fs::path artefact = testing::quantize(sound, folder.path() / "artefact", int8_head);
    for (const int ranks : {1, 3}) {
      const VerifyReport report = verify_at(artefact, sound, model, ranks);
      EXPECT_TRUE(report.ok()) << name << ": " << place_of(*report.first, report.num_layers);
      EXPECT_LT(report.kl_divergence, 0.01) << name;
      EXPECT_GE(std::ssize(report.errors), ranks * (report.num_layers * (kStages - 3) + 1)) << name;
    }
  }
}

TEST(Verify, AtLeast19Of20FaultsAreNamedByTheirLayer) {
  ASSERT_EQ(faults().size(), 20u);
  int named = 0;
  for (const Fault& fault : faults()) {
    testing::TempFolder folder;
    const json model = model_of(fault.family);
    const fs::path sound = testing::write_formula_model(folder.path() / "sound", model);
    bool found = false;
    const fs::path spoilt = testing::write_formula_model(
        folder.path() / "spoilt", model, [&](const std::string& name, Values& values) {
          if (name != fault.tensor) return;
          found = true;
          fault.spoil(values);
        });
    ASSERT_TRUE(found) << fault.tensor;
    const fs::path artefact = testing::quantize(spoilt, folder.path() / "artefact");
    const VerifyReport report = verify_at(artefact, sound, model, 2);
    const int layer = report.first ? layer_of(*report.first) : -2;
    named += layer == fault.layer;
    if (layer != fault.layer) {
      std::printf("%s, %s %s: %s\n", fault.what, fault.family, fault.tensor,
                  report.first ? place_of(*report.first, report.num_layers).c_str() : "not found");
    }
  }
  std::printf("%d of 20 faults named by their layer\n", named);
  EXPECT_GE(named, 19);
}

TEST(Verify, ModelsOfOtherShapesAreRefusedByField_BeforeAWeightIsRead) {
  testing::TempFolder folder;
  const auto no_number = [](const std::string&, Values& values) { values[0] = NAN; };
  const json model = model_of("llama");
  const fs::path sound = testing::write_formula_model(folder.path() / "sound", model);
  const fs::path broken = testing::write_formula_model(folder.path() / "broken", model, no_number);
  const fs::path other =
      testing::write_formula_model(folder.path() / "other", model_of("llama_bias"), no_number);
  EXPECT_INPUT_ERROR(verify_at(broken, sound, model, 1), broken.string(), "is nan");
  EXPECT_INPUT_ERROR(verify_at(other, sound, model, 1),
                     "hidden_size is 60 and 48: not the same model");
}

}  // namespace
}  // namespace octet
