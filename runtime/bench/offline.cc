#include "runtime/bench/offline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "runtime/request/error.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void submit_all(Engine& engine, const std::vector<PlannedRequest>& requests) {
  uint64_t id = 0;
  for (const PlannedRequest& request : requests) {
    engine.submit(
        {.id = id++,
         .prompt = std::get<std::vector<int32_t>>(request.prompt),
         .sampling = {.max_tokens = request.max_tokens, .temperature = 0, .ignore_eos = true}});
  }
}

// Runs until no request is left; on_token for each token, on_end for each request.
template <typename OnToken, typename OnEnd>
void run_all(Engine& engine, const OnToken& on_token, const OnEnd& on_end) {
  engine.run(
      [&](std::vector<RequestOutput> outputs) {
        for (const RequestOutput& output : outputs) {
          if (output.finish == FinishReason::kError) throw InputError(output.error);
          if (output.token >= 0) on_token(output.request_id);
          if (output.finish != FinishReason::kNone) on_end();
        }
      },
      true);
}

struct Iteration {
  double prefill = 0, whole = 0;
};

Iteration run_batch(Engine& engine, const std::vector<PlannedRequest>& batch) {
  std::vector<bool> begun(batch.size());
  Iteration iteration;
  const Clock::time_point start = Clock::now();
  submit_all(engine, batch);
  run_all(
      engine,
      [&](uint64_t id) {
        if (!begun[id]) iteration.prefill = seconds_since(start);
        begun[id] = true;
      },
      [] {});
  iteration.whole = seconds_since(start);
  return iteration;
}

}  // namespace

Throughput measure_throughput(Engine& engine, const std::vector<PlannedRequest>& requests,
                              const OfflineProgress& on_progress) {
  Throughput result{.requests = requests.size()};
  for (const PlannedRequest& request : requests) result.input_tokens += request.prompt_tokens;
  const EngineStats before = engine.stats();
  size_t done = 0;
  const Clock::time_point start = Clock::now();
  submit_all(engine, requests);
  run_all(
      engine, [&](uint64_t) { ++result.output_tokens; },
      [&] { on_progress(++done, requests.size()); });
  result.seconds = seconds_since(start);
  const EngineStats after = engine.stats();
  result.steps = after.steps - before.steps;
  result.preemptions = after.preemptions - before.preemptions;
  const double stepping = after.step_seconds - before.step_seconds;
  if (stepping > 0) result.reduce_share = (after.reduce_seconds - before.reduce_seconds) / stepping;
  return result;
}

double BatchLatency::output_tokens_per_second() const {
  const double seconds = whole.median();
  return seconds > 0 ? batch_size * output_len / seconds : 0;
}

BatchLatency measure_latency(Engine& engine, const LatencyOptions& options,
                             const OfflineProgress& on_progress) {
  PromptMaker prompts(engine.info().vocab_size, 0, options.seed);
  const auto rounds = static_cast<size_t>(options.warmups + options.iterations);
  std::vector<double> whole, prefill, decode;
  for (size_t round = 0; round < rounds; ++round) {
    std::vector<PlannedRequest> batch(options.batch_size);
    for (PlannedRequest& request : batch) {
      request = {.prompt = prompts.make(options.input_len),
                 .prompt_tokens = options.input_len,
                 .max_tokens = options.output_len};
    }
    const Iteration iteration = run_batch(engine, batch);
    on_progress(round + 1, rounds);
    if (round < static_cast<size_t>(options.warmups)) continue;
    whole.push_back(iteration.whole);
    prefill.push_back(iteration.prefill);
    if (options.output_len > 1)
      decode.push_back((iteration.whole - iteration.prefill) / (options.output_len - 1));
  }
  return {.batch_size = options.batch_size,
          .input_len = options.input_len,
          .output_len = options.output_len,
          .whole = Summary(whole),
          .prefill = Summary(prefill),
          .decode = Summary(decode)};
}

}  // namespace octet
