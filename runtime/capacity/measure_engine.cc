#include <algorithm>
#include <array>
#include <map>

#include "kernels/backend_factory.h"
#include "kernels/check.h"
#include "runtime/capacity/measurement.h"
#include "runtime/capacity/reference_model.h"
#include "runtime/capacity/step_cost.h"
#include "runtime/capacity/stopwatch.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/rank_ledger.h"

namespace octet {
namespace {

constexpr int kEngineRounds = 5;
constexpr int kDecodeRows[] = {1, 4, 16, 32, 64};
constexpr int kPromptTokens = 8, kTokens = 33;
constexpr double kDecodeContext = kPromptTokens + kTokens / 2.0;

Request request_of(uint64_t id, int tokens, int max_tokens) {
  Request request{.id = id, .prompt = {}, .sampling = {}};
  for (int i = 0; i < tokens; ++i) {
    request.prompt.push_back(static_cast<int32_t>((id * 131 + i * 17) % 31'000 + 5));
  }
  request.sampling.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.sampling.ignore_eos = true;
  return request;
}

// Time between two steps that decode all of the sequences: the mean, as a run's rate is of its
// whole time.
double decode_seconds(Engine& engine, int sequences) {
  for (int i = 0; i < sequences; ++i) {
    engine.submit(request_of(static_cast<uint64_t>(i), kPromptTokens, kTokens));
  }
  double seconds = 0;
  int intervals = 0;
  auto last = std::chrono::steady_clock::now();
  bool decoded = false;
  engine.run(
      [&](const std::vector<RequestOutput>& outputs) {
        const bool all = static_cast<int>(outputs.size()) == sequences;
        if (all && decoded) {
          seconds += seconds_since(last);
          ++intervals;
        }
        decoded = all;
        last = std::chrono::steady_clock::now();
      },
      true);
  OCTET_CHECK(intervals > 0, "{} sequences never decoded together", sequences);
  return seconds / intervals;
}

double prefill_seconds(Engine& engine) {
  constexpr int kPrompts = 5;
  const double before = engine.stats().step_seconds;
  for (uint64_t i = 0; i < kPrompts; ++i) {
    engine.submit(request_of(i, kReferenceRows, 1));
    engine.run([](const std::vector<RequestOutput>&) {}, true);
  }
  return (engine.stats().step_seconds - before) / kPrompts;
}

using SecondsByRows = std::map<int, std::vector<double>>;

void measure_depth(const Measurement& measurement, int layers, SecondsByRows& seconds) {
  const ReferenceModel model(measurement.options, layers);
  run_rank(model.options(), measurement.communicator, [&](Engine& engine) {
    for (const int rows : kDecodeRows) seconds[rows].push_back(decode_seconds(engine, rows));
    seconds[kReferenceRows].push_back(prefill_seconds(engine));
  });
}

StepShape shape_of_rows(int rows) {
  const double n = rows;
  if (rows == kReferenceRows) {
    return {.prefill_rows = n, .prefill_context = (n + 1) / 2, .sampled = 1};
  }
  return {.decode_rows = n, .decode_context = kDecodeContext, .sampled = n};
}

}  // namespace

std::vector<ProfileTable> measure_engine(const Measurement& measurement,
                                         const HardwareProfile& profile) {
  const int size = measurement.communicator.size();
  const auto [shallow, deep] = kReferenceLayers;
  SecondsByRows few, many;
  for (int round = 0; round < kEngineRounds; ++round) {
    measurement.progress("the engine", double{1} / kEngineRounds * round);
    measure_depth(measurement, shallow, few);
    measure_depth(measurement, deep, many);
  }
  if (measurement.communicator.rank() != 0) return {};

  const ReferenceModel model(measurement.options, shallow);
  const Plan plan(model.options(), size);
  const auto backend =
      make_backend({.device = plan.options.device, .isa = plan.options.isa, .threads = 1});
  const Footprint parts = footprint(plan, *backend, 0, size);
  const StepModel step(plan, parts, 0, 0, profile, nullptr, size);
  std::vector<double> rows, in_place, overhead;
  for (const auto& [n, seconds_by_round] : few) {
    const StepShape shape = shape_of_rows(n);
    const double seconds = Summary(seconds_by_round).median();
    const double layer = std::max(0.0, (Summary(many.at(n)).median() - seconds) / (deep - shallow));
    rows.push_back(n);
    in_place.push_back(layer / step.layer(shape));
    overhead.push_back(std::max(0.0, seconds - shallow * layer - step.ends(shape)));
  }
  return {{.operation = "layer.in_place",
           .ranks = size,
           .grid = Grid({{"rows", rows}}, in_place),
           .source = measurement.source + ": a layer in the engine over the sum of its parts"},
          {.operation = "step.overhead",
           .ranks = size,
           .grid = Grid({{"rows", rows}}, overhead),
           .source = measurement.source}};
}

}  // namespace octet
