// A trained GPT-2-architecture model and PyTorch's activations of its every stage
// (../shared/data/models/gpt-nano-sort).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/engine/engine.h"
#include "runtime/engine/plan.h"
#include "runtime/engine/worker.h"
#include "runtime/formats/safetensors_writer.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Values = std::vector<float>;

constexpr int kBatch = 3, kTokens = 11, kHidden = 48, kHeads = 3, kDim = 16, kVocab = 3;
constexpr float kTolerance = 1e-4f;

std::string base64(const std::string& text) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const char* alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char* place = std::strchr(alphabet, c);
    if (c == '=' || place == nullptr) break;
    bits = bits << 6 | static_cast<uint32_t>(place - alphabet);
    if ((count += 6) >= 8) bytes.push_back(static_cast<char>(bits >> (count -= 8)));
  }
  return bytes;
}

Values values_of(const json& tensor) {
  const std::string bytes = base64(tensor["data"]);
  Values values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// Its matrices are PyTorch's [out, in]; GPT-2's published ones are [in, out].
Values turned(const Values& values, int64_t rows, int64_t columns) {
  Values out(values.size());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) out[j * rows + i] = values[i * columns + j];
  }
  return out;
}

fs::path write_model(const fs::path& folder, const json& model) {
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << json{{"model_type", "gpt2"},
                                                {"n_embd", kHidden},
                                                {"n_layer", 3},
                                                {"n_head", kHeads},
                                                {"n_positions", kTokens},
                                                {"vocab_size", kVocab},
                                                {"activation_function", "gelu_new"},
                                                {"tie_word_embeddings", false}};
  std::vector<SafetensorsSpec> specs;
  std::map<std::string, Values> all;
  for (const auto& [name, tensor] : model.items()) {
    if (name == "config" || name.ends_with(".attn.bias")) continue;
    auto shape = tensor["shape"].get<std::vector<int64_t>>();
    Values values = values_of(tensor);
    if (shape.size() == 2 && name.find(".h.") != std::string::npos) {
      values = turned(values, shape[0], shape[1]);
      std::swap(shape[0], shape[1]);
    }
    specs.push_back({name, DType::kF32, Shape(shape)});
    all[name] = std::move(values);
  }
  SafetensorsWriter writer(folder / "model.safetensors", specs);
  for (const auto& [name, values] : all) {
    writer.write(name, 0, std::as_bytes(std::span(values)));
  }
  return folder;
}

class Recorder : public Probe {
 public:
  void observe(Stage stage, int layer, const Tensor& value) override {
    const auto values = value.span<const float>();
    seen[{layer, stage}] = Values(values.begin(), values.end());
  }
  std::map<std::pair<int, Stage>, Values> seen;
};

class GptNano : public ::testing::Test {
 protected:
  void SetUp() override {
    const fs::path data = fs::path(OCTET_SOURCE_DIR) / "../shared/data/models/gpt-nano-sort";
    if (!fs::exists(data)) GTEST_SKIP() << "no " << data;
    model_ = json::parse(std::ifstream(data / "gpt-nano-sort-model.json"));
    stages_ = json::parse(std::ifstream(data / "gpt-nano-sort-t0-partials.json"));
    const fs::path model = write_model(folder_.path() / "model", model_);
    plan_.emplace(
        EngineOptions{.model = model, .quantization = "none", .max_num_seqs = kBatch, .threads = 1},
        1);
    communicator_ = std::move(make_thread_communicators(1, comm_options(plan_->options, 1))[0]);
    worker_ = std::make_unique<Worker>(plan_->options, *plan_->files.checkpoint, plan_->files.args,
                                       plan_->partition, *communicator_);
    step();
  }

  void step() {
    ModelInput input;
    input.max_blocks = 1;
    input.cu_seqlens = {0};
    for (const float id : values_of(stages_["idx"])) {
      const int row = input.num_tokens(), sequence = row / kTokens, position = row % kTokens;
      input.token_ids.push_back(static_cast<int32_t>(id));
      input.positions.push_back(position);
      input.slot_mapping.push_back(sequence * plan_->options.block_size + position);
      input.add_sampled(row);
    }
    for (int32_t sequence = 0; sequence < kBatch; ++sequence) {
      input.cu_seqlens.push_back((sequence + 1) * kTokens);
      input.context_lens.push_back(kTokens);
      input.block_tables.push_back(sequence);
    }
    std::vector<int32_t> words;
    input.encode(words);
    worker_->set_probe(&recorder_);
    worker_->step(std::as_bytes(std::span(words)), [&](const SampledLogits& sampled) {
      for (size_t i = 0; i < sampled.lists.size(); ++i) {
        const auto row = sampled.row(i);
        logits_.insert(logits_.end(), row.begin(), row.end());
      }
    });
  }

  const Values& seen(int layer, Stage stage) { return recorder_.seen.at({layer, stage}); }
  Values tensor(const std::string& name) { return values_of(model_[name]); }

  void expect_stage(const char* name, const Values& got) {
    const Values wanted = values_of(stages_[name]);
    ASSERT_EQ(got.size(), wanted.size()) << name;
    for (size_t i = 0; i < got.size(); ++i) {
      if (std::isinf(wanted[i])) continue;  // masked
      ASSERT_NEAR(got[i], wanted[i], kTolerance) << name << " element " << i;
    }
  }

  // [rows, width]: columns [begin, begin + width) of [rows, columns].
  static Values columns(const Values& values, size_t all, size_t begin, size_t width) {
    Values out;
    for (size_t row = 0; row < values.size() / all; ++row) {
      const auto from = values.begin() + static_cast<int64_t>(row * all + begin);
      out.insert(out.end(), from, from + static_cast<int64_t>(width));
    }
    return out;
  }

  // [batch * tokens, heads * d] as PyTorch's [batch, heads, tokens, d].
  static Values by_head(const Values& values) {
    Values out;
    for (int b = 0; b < kBatch; ++b) {
      for (int h = 0; h < kHeads; ++h) {
        for (int t = 0; t < kTokens; ++t) {
          const auto from = values.begin() + ((b * kTokens + t) * kHeads + h) * kDim;
          out.insert(out.end(), from, from + kDim);
        }
      }
    }
    return out;
  }

  static Values sum(Values a, const Values& b) {
    for (size_t i = 0; i < a.size(); ++i) a[i] += b[i % b.size()];
    return a;
  }

  testing::TempFolder folder_;
  json model_, stages_;
  std::optional<Plan> plan_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Worker> worker_;
  Recorder recorder_;
  Values logits_;
};

TEST_F(GptNano, EveryStageOfTheFirstBlockAgreesWithPyTorch) {
  const Values qkv = seen(0, Stage::kQkv);
  const Values q = by_head(columns(qkv, 3 * kHidden, 0, kHidden));
  const Values k = by_head(columns(qkv, 3 * kHidden, kHidden, kHidden));
  expect_stage("x", seen(0, Stage::kResidual));
  expect_stage("ln1", seen(0, Stage::kAttentionInput));
  expect_stage("qkv", qkv);
  expect_stage("q", q);
  expect_stage("k", k);
  expect_stage("v", by_head(columns(qkv, 3 * kHidden, 2 * kHidden, kHidden)));

  // Scores live in registers only; from the q and k that were seen.
  const Values masked = values_of(stages_["att"]);
  Values scores(masked.size()), weights(masked.size());
  for (int head = 0; head < kBatch * kHeads; ++head) {
    for (int i = 0; i < kTokens; ++i) {
      const size_t row = static_cast<size_t>((head * kTokens + i) * kTokens);
      double norm = 0;
      for (int j = 0; j <= i; ++j) {
        float dot = 0;
        for (int d = 0; d < kDim; ++d) {
          dot += q[(head * kTokens + i) * kDim + d] * k[(head * kTokens + j) * kDim + d];
        }
        scores[row + j] = dot / std::sqrt(static_cast<float>(kDim));
        norm += std::exp(scores[row + j]);
      }
      for (int j = 0; j <= i; ++j) {
        weights[row + j] = static_cast<float>(std::exp(scores[row + j]) / norm);
      }
    }
  }
  expect_stage("att", scores);
  expect_stage("attSm", weights);

  const Values projected =
      sum(seen(0, Stage::kAttentionOutput), tensor("transformer.h.0.attn.c_proj.bias"));
  const Values attention_residual = sum(seen(0, Stage::kResidual), projected);
  expect_stage("y", seen(0, Stage::kAttention));
  expect_stage("yProj", projected);
  expect_stage("attnResid", attention_residual);
  expect_stage("ln2", seen(0, Stage::kMlpInput));
  expect_stage("gelu", seen(0, Stage::kMlpHidden));
  expect_stage("mlp", sum(seen(0, Stage::kMlpOutput), tensor("transformer.h.0.mlp.c_proj.bias")));
  expect_stage("mlpResid", seen(1, Stage::kResidual));
}

TEST_F(GptNano, TheProductBeforeTheActivationAgreesToo) {
  const Values weights = tensor("transformer.h.0.mlp.c_fc.weight");
  const Values biases = tensor("transformer.h.0.mlp.c_fc.bias");
  const Values input = seen(0, Stage::kMlpInput);
  const auto host = [](const Values& values, Shape shape) {
    return Tensor::view(const_cast<float*>(values.data()), DType::kF32, shape);
  };
  Backend& backend = worker_->backend();
  const auto packed = backend.pack({.weight = host(weights, {4 * kHidden, kHidden}),
                                    .scales = {},
                                    .bias = host(biases, {4 * kHidden})});
  Values out(static_cast<size_t>(kBatch * kTokens * 4 * kHidden));
  backend.linear(host(input, {kBatch * kTokens, kHidden}), *packed,
                 host(out, {1, kBatch * kTokens, 4 * kHidden}));
  expect_stage("fc", out);
}

TEST_F(GptNano, EveryBlockAndTheLogitsAgreeWithPyTorch) {
  expect_stage("block0", seen(1, Stage::kResidual));
  expect_stage("block1", seen(2, Stage::kResidual));
  expect_stage("block2", seen(3, Stage::kResidual));
  expect_stage("ln_f", seen(3, Stage::kFinal));
  expect_stage("lm_head", logits_);
  Values probabilities = logits_;
  for (size_t row = 0; row < probabilities.size(); row += kVocab) {
    double norm = 0;
    for (size_t i = 0; i < kVocab; ++i) norm += std::exp(logits_[row + i]);
    for (size_t i = 0; i < kVocab; ++i) {
      probabilities[row + i] = static_cast<float>(std::exp(logits_[row + i]) / norm);
    }
  }
  expect_stage("probs", probabilities);
}

}  // namespace
}  // namespace octet
