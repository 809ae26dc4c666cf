#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/capacity/planner.h"
#include "runtime/engine/ledger.h"

namespace octet {
namespace {

std::string groups_text(const CapacityPlan& plan) {
  std::string text =
      fmt::format("{:>5}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}  {}\n", "ranks", "weights", "KV cache",
                  "workspace", "buffers", "total", "of", "sequences that fit");
  for (const GroupPlan& group : plan.groups) {
    const RankLedger& ledger = group.ledger;
    text += fmt::format(
        "{:>5}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}  {}\n", group.size, format_bytes(ledger.weights),
        format_bytes(ledger.kv_cache), format_bytes(ledger.workspace),
        format_bytes(ledger.scratch + ledger.input + ledger.communication),
        format_bytes(ledger.total()), format_bytes(group.memory),
        group.why_not.empty() ? fmt::format("{} of {} tokens", group.sequences, plan.max_model_len)
                              : "none: " + group.why_not);
  }
  return text;
}

std::string batches_text(const GroupPlan& group) {
  std::string text = fmt::format("\n{} rank(s)", group.size);
  if (group.weights_floor > 0) {
    text += fmt::format(": the weights alone take {:.2f} ms a step at full bandwidth",
                        group.weights_floor * 1e3);
  }
  text +=
      fmt::format("\n{:>6}{:>10}{:>10}{:>10}{:>11}{:>9}{:>9}{:>12}{:>12}\n", "batch", "TTFT ms",
                  "step ms", "weights", "attention", "reduce", "other", "tokens/s", "requests/s");
  for (const BatchPlan& batch : group.batches) {
    const StepCost& step = batch.step;
    text += fmt::format("{:>6}{:>10.2f}{:>10.3f}{:>10.3f}{:>11.3f}{:>9.3f}{:>9.3f}{:>12.1f}",
                        batch.batch, batch.ttft * 1e3, step.total() * 1e3, step.weights * 1e3,
                        step.attention * 1e3, step.reduce * 1e3, step.other * 1e3,
                        batch.tokens_per_second);
    text += batch.requests_per_second > 0 ? fmt::format("{:>12.2f}", batch.requests_per_second)
                                          : fmt::format("{:>12}", "");
    text += batch.fits ? "\n" : fmt::format("  does not fit: {} sequence(s) do\n", group.sequences);
  }
  for (const std::string& note : group.notes) text += "note: " + note + "\n";
  return text;
}

std::string clusters_text(const CapacityPlan& plan, const std::string& currency) {
  const PlanRequest& request = plan.request;
  std::string text = fmt::format(
      "\n{:.2f} requests/s of {} + {} tokens at {:.0f}% of what the groups can do", request.rate,
      request.input_tokens, request.output_tokens, request.utilization * 100);
  if (request.ttft_seconds > 0)
    text += fmt::format(", TTFT <= {:g} ms", request.ttft_seconds * 1e3);
  if (request.tpot_seconds > 0)
    text += fmt::format(", TPOT <= {:g} ms", request.tpot_seconds * 1e3);
  text += fmt::format("\n{:>6}{:>8}{:>10}{:>8}{:>10}{:>10}{:>8}{:>12}{:>16}\n", "ranks", "groups",
                      "of ranks", "batch", "TTFT ms", "TPOT ms", "kW", currency + "/h",
                      currency + "/M output");
  for (const ClusterPlan& cluster : plan.clusters) {
    if (!cluster.why_not.empty()) {
      text += fmt::format("{:>6}{:>8}{:>10}  {}\n", "-", "-", cluster.size, cluster.why_not);
      continue;
    }
    text += fmt::format("{:>6}{:>8}{:>10}{:>8}{:>10.1f}{:>10}{:>8.1f}{:>12.2f}{:>16.2f}\n",
                        cluster.size * cluster.replicas, cluster.replicas, cluster.size,
                        cluster.batch, cluster.ttft * 1e3,
                        cluster.tpot > 0 ? fmt::format("{:.2f}", cluster.tpot * 1e3) : "-",
                        cluster.bill.kilowatts, cluster.bill.hour, cluster.bill.million_tokens);
  }
  return text;
}

}  // namespace

std::string plan_text(const CapacityPlan& plan) {
  std::string text =
      fmt::format("{} on {}, KV cache {}, sequences of {} tokens, decoding at context {}\n",
                  plan.model, plan.hardware, plan.kv_cache_dtype, plan.max_model_len, plan.context);
  text += groups_text(plan);
  for (const GroupPlan& group : plan.groups) {
    if (group.why_not.empty()) text += batches_text(group);
  }
  if (!plan.clusters.empty()) text += clusters_text(plan, plan.currency);
  for (const std::string& note : plan.notes) text += "note: " + note + "\n";
  return text;
}

}  // namespace octet
