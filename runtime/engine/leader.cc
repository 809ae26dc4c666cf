#include "runtime/engine/leader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "runtime/request/error.h"

namespace octet {

Leader::Leader(const GroupInfo& info, const SchedulerConfig& config, std::vector<int32_t> eos,
               Worker& worker, Communicator& communicator)
    : info_(info),
      eos_(std::move(eos)),
      worker_(worker),
      communicator_(communicator),
      scheduler_(config),
      sampler_(info.vocab_size) {
  stats_.free_blocks = stats_.total_blocks = config.num_blocks;
}

void Leader::submit(Request request) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.requests.push_back(std::move(request));
  }
  wake_.notify_one();
}

void Leader::cancel(uint64_t request_id) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.cancels.push_back(request_id);
  }
  wake_.notify_one();
}

void Leader::stop() {
  {
    const std::lock_guard lock(mutex_);
    inbox_.stop = true;
  }
  wake_.notify_one();
}

EngineStats Leader::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void Leader::broadcast_stop() {
  input_.clear();
  input_.stop = true;
  input_.encode(words_);
  communicator_.broadcast(std::as_bytes(std::span(words_)), 0);
}

void Leader::run(const OutputSink& sink, bool until_idle) {
  while (take_inbox(until_idle)) {
    if (!scheduler_.empty()) step();
    if (!outputs_.empty()) sink(std::exchange(outputs_, {}));
  }
  for (const uint64_t id : scheduler_.live_ids()) {
    scheduler_.remove(id);
    outputs_.push_back({.request_id = id, .finish = FinishReason::kCancelled});
  }
  publish_stats(0);
  if (!outputs_.empty()) sink(std::exchange(outputs_, {}));
}

bool Leader::take_inbox(bool until_idle) {
  {
    std::unique_lock lock(mutex_);
    if (scheduler_.empty() && !until_idle) wake_.wait(lock, [&] { return !inbox_.empty(); });
    std::swap(inbox_, taken_);
  }
  if (taken_.stop) {
    taken_ = {};
    return false;
  }
  const bool idle = scheduler_.empty() && taken_.requests.empty();
  for (Request& request : taken_.requests) admit(std::move(request));
  for (const uint64_t id : taken_.cancels) {
    if (scheduler_.remove(id)) {
      outputs_.push_back({.request_id = id, .finish = FinishReason::kCancelled});
    }
  }
  taken_.requests.clear();
  taken_.cancels.clear();
  if (scheduler_.empty()) publish_stats(0);
  return !(idle && until_idle);
}

void Leader::admit(Request request) {
  std::string why = why_impossible(request, info_);
  if (!why.empty()) {
    outputs_.push_back(
        {.request_id = request.id, .finish = FinishReason::kError, .error = std::move(why)});
    return;
  }
  const SamplingParams& sampling = request.sampling;
  const auto scored =
      std::max<int64_t>(0, std::ssize(request.prompt) - sampling.prompt_logprobs_start);
  if (sampling.max_tokens == 0 && scored == 0) {
    outputs_.push_back({.request_id = request.id, .finish = FinishReason::kLength});
    return;
  }
  auto sequence = std::make_unique<Sequence>(std::move(request));
  if (sequence->request.sampling.prompt_logprobs) {
    sequence->prompt_logprobs.resize(scored);
    sequence->prompt_greedy.resize(scored);
  }
  scheduler_.add(std::move(sequence));
}

void Leader::step() {
  const auto start = std::chrono::steady_clock::now();
  scheduler_.schedule(input_, rows_);
  input_.encode(words_);
  const auto message = communicator_.broadcast(std::as_bytes(std::span(words_)), 0);
  worker_.step(message, [this](const SampledLogits& sampled) {
    for (size_t i = 0; i < sampled.lists.size(); ++i) {
      append(rows_[sampled.first + i], sampled.lists[i], [&] { return sampled.row(i); });
    }
  });
  for (const uint64_t id : finished_) scheduler_.remove(id);
  finished_.clear();
  publish_stats(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

// The prompt's next token.
void Leader::score(const SampledRow& row, const Shortlist& list) {
  Sequence& sequence = *row.sequence;
  const SamplingParams& sampling = sequence.request.sampling;
  const int next = row.position + 1, at = next - sampling.prompt_logprobs_start;
  const float logprob = static_cast<float>(list.scored_logit - list.log_sum_exp());
  if (!std::isfinite(logprob)) {
    outputs_.push_back(
        {.request_id = sequence.request.id,
         .finish = FinishReason::kError,
         .error = fmt::format("the model's logits at position {} are not finite", row.position)});
    finished_.push_back(sequence.request.id);
    return;
  }
  sequence.prompt_logprobs[at] = logprob;
  sequence.prompt_greedy[at] = list.ids[0] == sequence.tokens[next];
  if (next + 1 < sequence.num_prompt() || sampling.max_tokens > 0) return;
  outputs_.push_back({.request_id = sequence.request.id, .finish = FinishReason::kLength});
  report_prompt(sequence, outputs_.back());
  finished_.push_back(sequence.request.id);
}

void Leader::append(const SampledRow& row, const Shortlist& list, const Sampler::FullRow& logits) {
  Sequence& sequence = *row.sequence;
  const SamplingParams& sampling = sequence.request.sampling;
  if (std::ranges::find(finished_, sequence.request.id) != finished_.end()) return;  // failed above
  if (!row.sample) {
    score(row, list);
    return;
  }
  const SampledToken sampled =
      sampler_.sample(list, sampling, static_cast<uint64_t>(row.position + 1), logits);
  RequestOutput output{.request_id = sequence.request.id,
                       .token = sampled.token,
                       .logprob = sampling.logprobs ? sampled.logprob : 0.0f};
  report_prompt(sequence, output);
  sequence.tokens.push_back(sampled.token);
  const auto stops = [&](const std::vector<int32_t>& ids) {
    return std::find(ids.begin(), ids.end(), sampled.token) != ids.end();
  };
  if (!std::isfinite(sampled.logprob)) {
    output.token = -1;
    output.finish = FinishReason::kError;
    output.error = fmt::format("the model's logits at position {} are not finite", row.position);
  } else if (stops(sampling.stop_token_ids) || (!sampling.ignore_eos && stops(eos_))) {
    output.finish = FinishReason::kStop;
  } else if (sequence.num_generated() == sampling.max_tokens) {
    output.finish = FinishReason::kLength;
  }
  if (output.finish != FinishReason::kNone) finished_.push_back(sequence.request.id);
  outputs_.push_back(std::move(output));
}

void Leader::report_prompt(Sequence& sequence, RequestOutput& output) {
  if (!sequence.request.sampling.prompt_logprobs || sequence.prompt_reported) return;
  output.prompt_logprobs = sequence.prompt_logprobs;
  output.prompt_greedy = sequence.prompt_greedy;
  sequence.prompt_reported = true;
}

void Leader::publish_stats(double step_seconds) {
  const std::lock_guard lock(mutex_);
  if (step_seconds > 0) {
    ++stats_.steps;
    stats_.step_seconds += step_seconds;
    for (const SampledRow& row : rows_) stats_.generated_tokens += row.sample;
    stats_.computed_tokens += input_.num_tokens();
  }
  stats_.preemptions = scheduler_.preemptions();
  stats_.running = scheduler_.num_running();
  stats_.waiting = scheduler_.num_waiting();
  stats_.free_blocks = scheduler_.free_blocks();
  stats_.total_blocks = scheduler_.total_blocks();
  stats_.reduce_seconds = worker_.reduce_seconds();
}

}  // namespace octet
