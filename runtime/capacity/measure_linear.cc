#include "runtime/capacity/measure_linear.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>

#include "runtime/capacity/reference_model.h"
#include "runtime/capacity/stopwatch.h"
#include "runtime/weights/partition.h"

namespace octet {
namespace {

constexpr int64_t kInt8Widths[] = {512, 1536, 4096};
constexpr int64_t kFloatOutputs[] = {4096, 16384}, kFloatInputs[] = {512, 2048};
constexpr int kInt8Rows[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
constexpr int kFloatRows[] = {1, 2, 4, 8, 16, 32, 64};
constexpr int kRounds = 9, kRoundsOfMany = 3, kFewRows = 32;
constexpr int kMostRows = kReferenceRows;
constexpr int64_t kMostWidth = 4096, kMostOutputs = 16384;

enum class Input { kEven, kLongTailed };  // normal; silu(normal) * normal, as an MLP's hidden is

constexpr Input kInputs[] = {Input::kEven, Input::kLongTailed};  // the axis "tail": 0 and 1

struct Kind {
  const char* operation;
  DType dtype;
  Activation activation;
  bool row_parallel;
};
constexpr Kind kKinds[] = {
    {"linear.column", DType::kI8, Activation::kNone, false},
    {"linear.gated", DType::kI8, Activation::kSiluGate, false},
    {"linear.row", DType::kI8, Activation::kNone, true},
    {"linear.float", DType::kBF16, Activation::kNone, false},
};

struct Layer {
  const Kind* kind;
  std::unique_ptr<PackedLinear> packed;
  std::map<std::pair<int, Input>, std::vector<double>> seconds;  // by rows and input
};

std::span<const int64_t> outputs_of(const Kind& kind) {
  return kind.dtype == DType::kI8 ? std::span<const int64_t>(kInt8Widths) : kFloatOutputs;
}
std::span<const int64_t> inputs_of(const Kind& kind) {
  return kind.dtype == DType::kI8 ? std::span<const int64_t>(kInt8Widths) : kFloatInputs;
}
std::span<const Input> inputs_measured(const Kind& kind) {  // floats take all alike
  return std::span(kInputs).first(kind.dtype == DType::kI8 ? 2 : 1);
}
std::span<const int> rows_of(const Kind& kind) {
  return kind.dtype == DType::kI8 ? std::span<const int>(kInt8Rows) : kFloatRows;
}

// This rank's shards of a row-parallel weight, cut evenly.
void cut(LinearWeight& weight, int64_t columns, int rank, int size) {
  weight.num_shards = Partition::kDefaultShards;
  weight.shards = rank_shards(weight.num_shards, rank, size);
  for (int i = 0; i <= weight.shards.size(); ++i) {
    weight.cuts.push_back(balanced_cut(columns, weight.shards.size(), i));
  }
}

LinearWeight random_weight(const Kind& kind, int64_t outputs, int64_t inputs, int rank, int size,
                           std::mt19937_64& generator) {
  const int64_t rows = kind.activation == Activation::kSiluGate ? 2 * outputs : outputs;
  LinearWeight weight;
  weight.weight = Tensor::host(kind.dtype, {rows, inputs});
  const std::span<uint16_t> words{reinterpret_cast<uint16_t*>(weight.weight.raw_data()),
                                  weight.weight.bytes() / sizeof(uint16_t)};
  for (size_t i = 0; i < words.size(); i += 4) {
    const uint64_t draw = generator();
    for (size_t k = i; k < std::min(i + 4, words.size()); ++k) {
      const auto bits = static_cast<uint16_t>(draw >> (16 * (k - i)));
      // bf16: small and finite; int8: not -128.
      words[k] = kind.dtype == DType::kI8 ? bits & 0x7F7F : (bits & 0x807F) | 0x3C80;
    }
  }
  if (kind.dtype == DType::kI8) {
    weight.scales = Tensor::host(DType::kF32, {rows});
    std::ranges::fill(weight.scales.span<float>(),
                      1.0f / (73.0f * std::sqrt(static_cast<float>(inputs))));
  }
  weight.product = Int8Product::kLlmInt8;
  weight.activation = kind.activation;
  if (kind.row_parallel) cut(weight, inputs, rank, size);
  return weight;
}

Tensor random_input(Backend& backend, Input input, std::mt19937_64& generator) {
  const Tensor host = Tensor::host(DType::kF32, {kMostRows * kMostWidth});
  std::normal_distribution<float> normal;
  for (float& x : host.span<float>()) {
    x = normal(generator);
    if (input == Input::kLongTailed) x = x / (1 + std::exp(-x)) * normal(generator);
  }
  const Tensor device = backend.allocate(DType::kF32, host.shape());
  backend.upload(host, device);
  return device;
}

ProfileTable table_of(const Kind& kind, const std::vector<Layer>& layers, int ranks,
                      const std::string& source) {
  std::vector<double> rows, outputs, inputs, tails, values;
  for (const int n : rows_of(kind)) rows.push_back(n);
  for (const int64_t n : outputs_of(kind)) outputs.push_back(static_cast<double>(n));
  for (const int64_t n : inputs_of(kind)) inputs.push_back(static_cast<double>(n));
  for (const Input input : inputs_measured(kind)) tails.push_back(static_cast<double>(input));
  for (const int n : rows_of(kind)) {
    for (const Layer& layer : layers) {  // in the order of outputs, then inputs
      if (layer.kind != &kind) continue;
      for (const Input input : inputs_measured(kind)) {
        values.push_back(undisturbed(layer.seconds.at({n, input})));
      }
    }
  }
  return {.operation = kind.operation,
          .ranks = ranks,
          .grid = Grid({{"rows", rows}, {"outputs", outputs}, {"inputs", inputs}, {"tail", tails}},
                       values),
          .source = source};
}

}  // namespace

std::vector<ProfileTable> measure_linear(Backend& backend, const Measurement& measurement) {
  Communicator& communicator = measurement.communicator;
  const int rank = communicator.rank(), size = communicator.size();
  std::mt19937_64 generator(1);
  std::vector<Layer> layers;
  for (const Kind& kind : kKinds) {
    const auto done = static_cast<double>(&kind - kKinds);
    measurement.progress("packing", 0.3 * done / std::size(kKinds));
    for (const int64_t outputs : outputs_of(kind)) {
      for (const int64_t inputs : inputs_of(kind)) {
        layers.push_back(
            {&kind, backend.pack(random_weight(kind, outputs, inputs, rank, size, generator)), {}});
      }
    }
  }
  backend.reserve(kMostRows);
  const Tensor even = random_input(backend, Input::kEven, generator);
  const Tensor tailed = random_input(backend, Input::kLongTailed, generator);
  int most_roots = 1;
  for (const Layer& layer : layers) most_roots = std::max(most_roots, layer.packed->num_roots());
  const Tensor out = backend.allocate(
      DType::kF32, {std::max(most_roots * kMostRows * kMostWidth, 64 * kMostOutputs)});

  // Each round goes through all weights, more than a cache holds, so that each comes from memory,
  // as in a step; and through all numbers of rows, so that a disturbance does not fall on one of
  // them.
  for (int round = 0; round < kRounds; ++round) {
    for (const int rows : kInt8Rows) {
      measurement.progress(fmt::format("products, round {} of {}", round + 1, kRounds),
                           0.3 + 0.7 * round / kRounds);
      if (rows > kFewRows && round >= kRoundsOfMany) continue;
      for (const Input input : kInputs) {
        communicator.barrier();
        for (Layer& layer : layers) {
          const Kind& kind = *layer.kind;
          const auto inputs = inputs_measured(kind);
          if (std::ranges::find(rows_of(kind), rows) == rows_of(kind).end() ||
              std::ranges::find(inputs, input) == inputs.end()) {
            continue;
          }
          const Tensor& x = input == Input::kEven ? even : tailed;
          const PackedLinear& packed = *layer.packed;
          const Shape in{rows, packed.in_features()};
          const Shape result{packed.num_roots(), rows, packed.out_features()};
          const auto start = std::chrono::steady_clock::now();
          backend.linear(x.rows(0, in.numel()).reshape(in), packed,
                         out.rows(0, result.numel()).reshape(result));
          backend.synchronize();
          layer.seconds[{rows, input}].push_back(seconds_since(start));
        }
      }
    }
  }
  std::vector<ProfileTable> tables;
  for (const Kind& kind : kKinds) {
    tables.push_back(table_of(kind, layers, size, measurement.source));
  }
  return tables;
}

}  // namespace octet
