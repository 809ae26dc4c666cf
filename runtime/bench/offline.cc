#include "runtime/bench/offline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

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

// Runs until no request is left, or until it is interrupted; on_token for each token, on_end for
// each request. Was it interrupted?
template <typename OnToken, typename OnEnd>
bool run_all(Engine& engine, const OfflineWatch& watch, const OnToken& on_token,
             const OnEnd& on_end) {
  bool interrupted = false;
  engine.run(
      [&](std::vector<RequestOutput> outputs) {
        if (interrupted) return;
        for (const RequestOutput& output : outputs) {
          if (output.finish == FinishReason::kError) throw InputError(output.error);
          if (output.token >= 0) on_token(output.request_id);
          if (output.finish != FinishReason::kNone) on_end(output.request_id);
        }
        interrupted = watch.interrupted();
        if (interrupted) engine.stop();
      },
      true);
  return interrupted;
}

[[noreturn]] void fail_interrupted() {
  throw InputError("interrupted before anything was measured", ErrorCode::kCancelled);
}

struct Iteration {
  double prefill = 0, whole = 0;
};

std::optional<Iteration> run_batch(Engine& engine, const std::vector<PlannedRequest>& batch,
                                   const OfflineWatch& watch) {
  std::vector<bool> begun(batch.size());
  Iteration iteration;
  const Clock::time_point start = Clock::now();
  submit_all(engine, batch);
  const bool interrupted = run_all(
      engine, watch,
      [&](uint64_t id) {
        if (!begun[id]) iteration.prefill = seconds_since(start);
        begun[id] = true;
      },
      [](uint64_t) {});
  if (interrupted) return std::nullopt;
  iteration.whole = seconds_since(start);
  return iteration;
}

}  // namespace

Throughput measure_throughput(Engine& engine, const std::vector<PlannedRequest>& requests,
                              const OfflineWatch& watch) {
  Throughput result;
  std::vector<int64_t> tokens(requests.size());
  const EngineStats before = engine.stats();
  const Clock::time_point start = Clock::now();
  submit_all(engine, requests);
  run_all(
      engine, watch, [&](uint64_t id) { ++tokens[id]; },
      [&](uint64_t id) {
        result.output_tokens += tokens[id];
        result.input_tokens += requests[id].prompt_tokens;
        watch.progress(++result.requests, requests.size());
      });
  if (result.requests == 0) fail_interrupted();
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
                             const OfflineWatch& watch) {
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
    const std::optional<Iteration> iteration = run_batch(engine, batch, watch);
    if (!iteration) break;
    watch.progress(round + 1, rounds);
    if (round < static_cast<size_t>(options.warmups)) continue;
    whole.push_back(iteration->whole);
    prefill.push_back(iteration->prefill);
    if (options.output_len > 1)
      decode.push_back((iteration->whole - iteration->prefill) / (options.output_len - 1));
  }
  if (whole.empty()) fail_interrupted();
  return {.batch_size = options.batch_size,
          .input_len = options.input_len,
          .output_len = options.output_len,
          .whole = Summary(whole),
          .prefill = Summary(prefill),
          .decode = Summary(decode)};
}

}  // namespace octet
