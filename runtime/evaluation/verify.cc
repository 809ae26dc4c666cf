#include "runtime/evaluation/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <span>

#include "runtime/engine/agree.h"
#include "runtime/engine/plan.h"
#include "runtime/engine/worker.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

// One of the two models on this rank. Collective: all ranks have it, or all throw.
struct Side {
  // shards: 0: the checkpoint's own.
  Side(const EngineOptions& options, int shards, Communicator& communicator) {
    all_or_none(communicator, [&] { plan.emplace(options, communicator.size(), shards); });
  }

  void load(Communicator& communicator) {
    int64_t& cache = plan->options.kv_cache_memory;
    cache = broadcast_value(communicator, cache);
    all_or_none(communicator, [&] {
      worker.emplace(plan->options, *plan->files.checkpoint, plan->files.args, plan->partition,
                     communicator);
    });
  }

  std::optional<Plan> plan;
  std::optional<Worker> worker;
};

using StageKey = std::pair<int, Stage>;  // layer, stage
using Values = std::map<StageKey, std::vector<float>>;

std::vector<float> to_host(Backend& backend, const Tensor& value) {
  std::vector<float> host(static_cast<size_t>(value.numel()));
  backend.download(value, Tensor::view(host.data(), DType::kF32, value.shape()));
  return host;
}

class Recorder : public Probe {
 public:
  explicit Recorder(Backend& backend) : backend_(backend) {}
  void observe(Stage stage, int layer, const Tensor& value) override {
    values_[{layer, stage}] = to_host(backend_, value);
  }
  const Values& values() const { return values_; }

 private:
  Backend& backend_;
  Values values_;
};

// Adds up the differences from what was recorded; each block goes on from the recorded residual, so
// that a layer's error is its own.
class Comparer : public Probe {
 public:
  Comparer(Backend& backend, const Values& reference, std::map<StageKey, StageSquares>& squares)
      : backend_(backend), reference_(reference), squares_(squares) {}

  void observe(Stage stage, int layer, const Tensor& value) override {
    // The quantiser may move a factor from a norm to the products behind it; those are compared.
    if (stage == Stage::kAttentionInput || stage == Stage::kMlpInput) return;
    const auto found = reference_.find({layer, stage});
    if (found == reference_.end()) {
      throw InputError(
          fmt::format("layer {}, {}: the reference has no such stage", layer, stage_name(stage)));
    }
    const std::vector<float>& wanted = found->second;
    const std::vector<float> got = to_host(backend_, value);
    if (got.size() != wanted.size()) {
      throw InputError(fmt::format("layer {}, {}: {} values against {}", layer, stage_name(stage),
                                   got.size(), wanted.size()));
    }
    squares_[{layer, stage}].add(got, wanted, static_cast<size_t>(value.dim(1)));
    if (stage == Stage::kResidual) {
      backend_.upload(Tensor::view(const_cast<float*>(wanted.data()), DType::kF32, value.shape()),
                      value);
    }
  }

 private:
  Backend& backend_;
  const Values& reference_;
  std::map<StageKey, StageSquares>& squares_;
};

// The whole prompt as one step, every row's logits wanted.
std::vector<int32_t> step_message(const std::vector<int32_t>& ids, int block_size) {
  ModelInput input;
  input.token_ids = ids;
  const auto n = static_cast<int32_t>(ids.size());
  for (int32_t i = 0; i < n; ++i) {
    input.positions.push_back(i);
    input.slot_mapping.push_back(i);
    input.add_sampled(i);
  }
  input.cu_seqlens = {0, n};
  input.context_lens = {n};
  input.max_blocks = (n + block_size - 1) / block_size;
  for (int32_t block = 0; block < input.max_blocks; ++block) input.block_tables.push_back(block);
  std::vector<int32_t> words;
  input.encode(words);
  return words;
}

// The rows of a step; filled on rank 0.
struct Rows {
  size_t vocab_size = 0;
  std::vector<float> logits;  // [n, vocab_size]
  std::vector<double> norms;  // [n] log(sum(exp(logits)))

  double log_probability(size_t row, size_t token) const {
    return logits[row * vocab_size + token] - norms[row];
  }
};

Rows rows_of(Worker& worker, const std::vector<int32_t>& words, Probe* probe) {
  Rows rows;
  worker.set_probe(probe);
  worker.step(std::as_bytes(std::span(words)), [&](const SampledLogits& sampled) {
    for (size_t i = 0; i < sampled.lists.size(); ++i) {
      const auto row = sampled.row(i);
      rows.vocab_size = row.size();
      rows.logits.insert(rows.logits.end(), row.begin(), row.end());
      rows.norms.push_back(sampled.lists[i].log_sum_exp());
    }
  });
  worker.set_probe(nullptr);
  return rows;
}

double kl_divergence(const Rows& reference, const Rows& tested, size_t row) {
  double sum = 0;
  for (size_t token = 0; token < reference.vocab_size; ++token) {
    const double log_p = reference.log_probability(row, token);
    sum += std::exp(log_p) * (log_p - tested.log_probability(row, token));
  }
  return sum;
}

// Every rank's errors on rank 0, by layer, stage, rank.
std::vector<StageError> gather_errors(const std::map<StageKey, StageSquares>& squares,
                                      Communicator& communicator) {
  constexpr size_t kColumns = 3;
  const auto size = static_cast<size_t>(communicator.size());
  std::vector<float> own;
  for (const auto& [key, sums] : squares) {
    StageError error;
    sums.judge(error);
    own.insert(own.end(), {static_cast<float>(error.error), static_cast<float>(error.channel_error),
                           static_cast<float>(error.channel)});
  }
  std::vector<float> all(communicator.rank() == 0 ? own.size() * size : 0);
  communicator.gather(own, 1, std::vector<size_t>(size, own.size()), all, 0);
  std::vector<StageError> errors;
  if (communicator.rank() != 0) return errors;
  size_t at = 0;
  for (const auto& [key, sums] : squares) {
    for (size_t rank = 0; rank < size; ++rank) {
      const float* row = all.data() + rank * own.size() + at;
      errors.push_back({.layer = key.first,
                        .stage = key.second,
                        .rank = static_cast<int>(rank),
                        .error = row[0],
                        .channel_error = row[1],
                        .channel = static_cast<int>(row[2])});
    }
    at += kColumns;
  }
  compare_layers(errors);
  return errors;
}

std::vector<uint64_t> gather_outliers(Worker& worker, Communicator& communicator) {
  std::vector<float> own;
  for (const uint64_t count : worker.outliers()) own.push_back(static_cast<float>(count));
  const auto size = static_cast<size_t>(communicator.size());
  std::vector<float> all(communicator.rank() == 0 ? own.size() * size : 0);
  communicator.gather(own, 1, std::vector<size_t>(size, own.size()), all, 0);
  std::vector<uint64_t> sums(all.empty() ? 0 : own.size());
  for (size_t i = 0; i < all.size(); ++i) sums[i % own.size()] += static_cast<uint64_t>(all[i]);
  return sums;
}

void require_same_shape(const ModelArgs& tested, const ModelArgs& reference) {
  const auto require = [](const char* what, int a, int b) {
    if (a != b) throw InputError(fmt::format("{} is {} and {}: not the same model", what, a, b));
  };
  require("hidden_size", tested.hidden_size, reference.hidden_size);
  require("intermediate_size", tested.intermediate_size, reference.intermediate_size);
  require("num_hidden_layers", tested.num_hidden_layers, reference.num_hidden_layers);
  require("num_attention_heads", tested.num_attention_heads, reference.num_attention_heads);
  require("num_key_value_heads", tested.num_key_value_heads, reference.num_key_value_heads);
  require("head_dim", tested.head_dim, reference.head_dim);
  require("vocab_size", tested.vocab_size, reference.vocab_size);
  require("parallel residual", tested.parallel_residual, reference.parallel_residual);
  require("norms per block", tested.norms_per_block, reference.norms_per_block);
  require("norm after the sums", tested.post_norm, reference.post_norm);
}

void require_room(const Side& side, const std::vector<int32_t>& ids) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= side.plan->files.args.vocab_size) {
      throw InputError(fmt::format("a prompt has the id {}, the model has {}", id,
                                   side.plan->files.args.vocab_size));
    }
  }
  const KVCacheConfig& cache = side.worker->cache_config();
  const int64_t room = std::min<int64_t>({int64_t{cache.num_blocks} * cache.block_size,
                                          side.plan->options.max_model_len,
                                          side.plan->options.max_num_batched_tokens});
  if (ids.size() < 2 || std::ssize(ids) > room) {
    throw InputError(fmt::format("a prompt has {} tokens, must have 2 to {}", ids.size(), room));
  }
}

struct LogitSums {
  double kl = 0, reference = 0, tested = 0, forced_kl = 0;
  int64_t rows = 0;

  void add(const std::vector<int32_t>& ids, const Rows& wanted, const Rows& got,
           const Rows& forced) {
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      kl += kl_divergence(wanted, got, i);
      forced_kl += kl_divergence(wanted, forced, i);
      reference -= wanted.log_probability(i, ids[i + 1]);
      tested -= got.log_probability(i, ids[i + 1]);
      ++rows;
    }
  }
};

}  // namespace

VerifyReport verify(const VerifyOptions& options, Communicator& communicator) {
  Side tested(options.tested, 0, communicator);
  Side reference(options.reference, tested.plan->partition.num_shards(), communicator);
  all_or_none(communicator,
              [&] { require_same_shape(tested.plan->files.args, reference.plan->files.args); });
  for (Side* side : {&tested, &reference}) side->load(communicator);
  all_or_none(communicator, [&] {
    for (const std::vector<int32_t>& ids : options.prompts) {
      for (const Side* side : {&tested, &reference}) require_room(*side, ids);
    }
  });
  std::map<StageKey, StageSquares> squares;
  LogitSums sums;
  for (const std::vector<int32_t>& ids : options.prompts) {
    const std::vector<int32_t> words = step_message(ids, options.tested.block_size);
    Recorder recorder(reference.worker->backend());
    const Rows wanted = rows_of(*reference.worker, words, &recorder);
    Comparer comparer(tested.worker->backend(), recorder.values(), squares);
    const Rows forced = rows_of(*tested.worker, words, &comparer);
    const Rows got = rows_of(*tested.worker, words, nullptr);
    if (communicator.rank() == 0) sums.add(ids, wanted, got, forced);
  }
  VerifyReport report{.num_layers = tested.plan->files.args.num_hidden_layers};
  report.errors = gather_errors(squares, communicator);
  report.outliers = gather_outliers(*tested.worker, communicator);
  if (communicator.rank() != 0) return report;
  const auto bad = std::ranges::find_if(report.errors, [&](const StageError& error) {
    return !fault_of(error, options.tolerance).empty();
  });
  if (bad != report.errors.end()) report.first = *bad;
  for (const std::vector<int32_t>& ids : options.prompts) report.num_tokens += std::ssize(ids);
  const auto rows = static_cast<double>(sums.rows);
  report.kl_divergence = sums.kl / rows;
  report.reference_perplexity = std::exp(sums.reference / rows);
  report.tested_perplexity = std::exp(sums.tested / rows);
  report.logits_ok = sums.forced_kl / rows <= options.tolerance * options.tolerance;
  return report;
}

}  // namespace octet
