#include "launcher/load_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/say.h"
#include "launcher/flag_checks.h"
#include "launcher/interrupts.h"
#include "runtime/bench/numbers.h"

namespace octet {
namespace {

Trace read_trace(const LoadFlags& flags, size_t most) {
  const Malformed malformed = flags.skip_malformed ? Malformed::kSkip : Malformed::kRefuse;
  if (flags.dataset == "azure") return read_azure_trace(flags.dataset_path, most, malformed);
  if (flags.dataset == "burstgpt") return read_burstgpt_trace(flags.dataset_path, most, malformed);
  return read_sharegpt_trace(flags.dataset_path, most, malformed);
}

std::vector<PlannedRequest> plan_of_lengths(const LoadFlags& flags, size_t count,
                                            PromptMaker& prompts) {
  return plan_random(
      {.input = LengthDistribution::parse(flags.input_len, "--random-input-len", flags.range_ratio),
       .output =
           LengthDistribution::parse(flags.output_len, "--random-output-len", flags.range_ratio),
       .count = count,
       .seed = flags.seed},
      prompts);
}

std::vector<PlannedRequest> plan_of_trace(const LoadFlags& flags, PromptMaker& prompts) {
  if (flags.dataset_path.empty())
    throw InputError(fmt::format("--dataset-name {} needs --dataset-path", flags.dataset));
  const Trace trace = read_trace(flags, flags.num_prompts);
  if (trace.left_out > 0) {
    say("octet: {}: {} malformed entries left out; the first: {}\n", flags.dataset_path,
        trace.left_out, trace.first_fault);
  }
  std::vector<PlannedRequest> planned =
      plan_trace(trace, flags.trace_speed, flags.trace_length_scale, prompts);
  if (planned.size() < flags.num_prompts) {
    say("octet: {}: has {} of the {} requests of --num-prompts\n", flags.dataset_path,
        planned.size(), flags.num_prompts);
  }
  return planned;
}

// Throws InputError where none is left.
void keep_fitting(std::vector<PlannedRequest>& requests, const TargetInfo& target) {
  const size_t planned = requests.size();
  const size_t too_long = leave_out_too_long(requests, target.max_model_len);
  if (planned > 0 && requests.empty()) {
    throw InputError(fmt::format("none of {} requests fits the model's {} tokens", planned,
                                 target.max_model_len));
  }
  if (too_long > 0) {
    say("octet: {} of {} requests do not fit the model's {} tokens and are left out\n", too_long,
        planned, target.max_model_len);
  }
}

}  // namespace

void add_load_flags(CLI::App& command, LoadFlags& flags) {
  command
      .add_option("--dataset-name", flags.dataset,
                  "What is asked: random, or a trace: azure, burstgpt (CSV), sharegpt (JSON)")
      ->check(CLI::IsMember({"random", "azure", "burstgpt", "sharegpt"}))
      ->capture_default_str();
  command.add_option("--dataset-path", flags.dataset_path, "The trace's file");
  command.add_flag("--skip-malformed", flags.skip_malformed,
                   "Leave malformed entries of a trace out, with one line; else they end the run");
  command
      .add_option("--trace-speed", flags.trace_speed,
                  "Replay so many times as fast; a --request-rate replaces the trace's times")
      ->check(between(1e-6, 1e6))
      ->capture_default_str();
  command
      .add_option("--trace-length-scale", flags.trace_length_scale,
                  "Multiplies the trace's lengths, where they are too long for the model")
      ->check(between(1e-6, 1e3))
      ->capture_default_str();
  command.add_option("--num-prompts", flags.num_prompts, "Requests")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  command
      .add_option("--num-warmups", flags.num_warmups, "Requests before them that are not measured")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  command
      .add_option("--random-input-len", flags.input_len,
                  "Tokens of a prompt: N, uniform:LOW:HIGH, normal:MEAN:STDDEV, "
                  "lognormal:MEDIAN:SIGMA or exponential:MEAN")
      ->capture_default_str();
  command.add_option("--random-output-len", flags.output_len, "Tokens of an answer, likewise")
      ->capture_default_str();
  command
      .add_option("--random-range-ratio", flags.range_ratio,
                  "A length N becomes uniform from N(1-r) to N(1+r)")
      ->check(between(0, 0.999))
      ->capture_default_str();
  command
      .add_option("--random-prefix-len", flags.prefix_len,
                  "Of the prompt's tokens, the same in all prompts")
      ->check(CLI::Range(0, kMostTokens))
      ->capture_default_str();
  command
      .add_option(
          "--burstiness", flags.burstiness,
          "Of the arrivals: 1 Poisson, less in bursts, more is regular, inf a constant rate")
      ->capture_default_str();
  command.add_option("--max-seconds", flags.max_seconds, "Send nothing after that; 0: no limit")
      ->check(non_negative());
  command.add_option("--seed", flags.seed, "Of lengths, prompts and arrivals")
      ->check(whole_number())
      ->capture_default_str();
  command
      .add_option("--goodput", flags.goodput,
                  "What a request must keep to count as good, in ms: ttft:200 tpot:50 e2el:900")
      ->expected(1, -1);
}

double parse_rate(const std::string& text, const std::string& name) {
  if (text == "inf") return kAtOnce;
  const std::optional<double> rate = parse_number(text);
  if (!rate || *rate <= 0)
    throw InputError(fmt::format("{} is '{}', must be a number above 0, or inf", name, text));
  return *rate;
}

LoadPlan plan_requests(const LoadFlags& flags, const TargetInfo& target) {
  PromptMaker prompts(target.vocab_size, flags.prefix_len, flags.seed);
  // Warm-up prompts are not asked again: a server may remember them.
  LoadPlan plan{.warmups = plan_of_lengths(flags, flags.num_warmups, prompts)};
  leave_out_too_long(plan.warmups, target.max_model_len);
  plan.requests = flags.dataset == "random" ? plan_of_lengths(flags, flags.num_prompts, prompts)
                                            : plan_of_trace(flags, prompts);
  keep_fitting(plan.requests, target);
  return plan;
}

LoadOptions load_options(const LoadFlags& flags) {
  LoadOptions options{.max_seconds = flags.max_seconds, .seed = flags.seed};
  options.arrivals.burstiness = parse_rate(flags.burstiness, "--burstiness");
  for (const std::string& limit : flags.goodput) {
    options.request_limits.push_back(parse_request_limit(limit));
  }
  for (const std::string& limit : flags.slo) {
    options.statistic_limits.push_back(parse_statistic_limit(limit));
  }
  options.interrupted = &interrupt_flag();
  return options;
}

void LoadProgress::update(const std::string& label, size_t done, size_t total) {
  if (!progress_ || label != label_) {
    progress_.reset();
    progress_.emplace(verb_, "requests", 1);
    label_ = label;
  }
  if (done > 0)
    progress_->update(label, done, total);  // made at 0, so that its clock starts with the load
}

}  // namespace octet
