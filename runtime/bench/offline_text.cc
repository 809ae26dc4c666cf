#include <fmt/format.h>

#include "runtime/bench/latency.h"
#include "runtime/bench/offline.h"

namespace octet {
namespace {

using nlohmann::ordered_json;

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

std::string row(const char* name, const Summary& summary) {
  return fmt::format("{:<34}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}\n", name,
                     summary.mean() * kMs, summary.median() * kMs, summary.percentile(90) * kMs,
                     summary.percentile(99) * kMs, summary.max() * kMs);
}

ordered_json summary_json(const Summary& summary) {
  ordered_json out{{"mean", summary.mean()}, {"stddev", summary.stddev()}, {"min", summary.min()}};
  for (const int percent : {10, 25, 50, 75, 90, 99}) {
    out["p" + std::to_string(percent)] = summary.percentile(percent);
  }
  out["max"] = summary.max();
  return out;
}

}  // namespace

std::string throughput_text(const Throughput& r) {
  return fmt::format(
      "{} requests, {} input and {} output tokens in {:.3f} s: {:.3f} requests/s, {:.1f} "
      "tokens/s, {:.1f} output tokens/s\n{} steps, {} preemptions, {:.1f}% of the steps in the "
      "reduces\n",
      r.requests, r.input_tokens, r.output_tokens, r.seconds,
      rate(static_cast<double>(r.requests), r.seconds),
      rate(static_cast<double>(r.input_tokens + r.output_tokens), r.seconds),
      rate(static_cast<double>(r.output_tokens), r.seconds), r.steps, r.preemptions,
      100 * r.reduce_share);
}

ordered_json throughput_json(const Throughput& r) {
  return {
      {"elapsed_time", r.seconds},
      {"num_requests", r.requests},
      {"total_num_tokens", r.input_tokens + r.output_tokens},
      {"requests_per_second", rate(static_cast<double>(r.requests), r.seconds)},
      {"tokens_per_second", rate(static_cast<double>(r.input_tokens + r.output_tokens), r.seconds)},
      {"output_tokens_per_second", rate(static_cast<double>(r.output_tokens), r.seconds)},
      {"steps", r.steps},
      {"preemptions", r.preemptions},
      {"reduce_share", r.reduce_share}};
}

std::string latency_text(const BatchLatency& r) {
  std::string text = fmt::format(
      "batch {}, {} input and {} output tokens each, {} iterations: {:.1f} output tokens/s\n",
      r.batch_size, r.input_len, r.output_len, r.whole.count(), r.output_tokens_per_second());
  text += fmt::format("{:<34}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "ms", "mean", "p50", "p90", "p99",
                      "max");
  text += row("to the last token", r.whole) + row("to the last first token", r.prefill);
  return r.decode.empty() ? text : text + row("a token after that", r.decode);
}

ordered_json latency_json(const BatchLatency& r) {
  ordered_json out{{"batch_size", r.batch_size},
                   {"input_len", r.input_len},
                   {"output_len", r.output_len},
                   {"avg_latency", r.whole.mean()},
                   {"latencies", r.whole.sorted()}};
  for (const int percent : {10, 25, 50, 75, 90, 99}) {
    out["percentiles"][std::to_string(percent)] = r.whole.percentile(percent);
  }
  out["prefill_seconds"] = summary_json(r.prefill);
  out["decode_step_seconds"] = summary_json(r.decode);
  out["output_tokens_per_second"] = r.output_tokens_per_second();
  return out;
}

}  // namespace octet
