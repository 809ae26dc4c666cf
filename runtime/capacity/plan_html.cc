#include <fmt/format.h>

#include <algorithm>

#include "runtime/capacity/planner.h"
#include "runtime/engine/ledger.h"
#include "runtime/report/html_page.h"

namespace octet {
namespace {

template <typename Value>
LinePlot by_batch(const CapacityPlan& plan, const std::string& title, const std::string& unit,
                  const Value& value) {
  LinePlot plot{.title = title,
                .x_label = "batch",
                .y_label = unit,
                .series = {},
                .x_scale = Scale::kLog,
                .y_scale = Scale::kLog};
  for (const GroupPlan& group : plan.groups) {
    if (!group.why_not.empty()) continue;
    Series series{.name = fmt::format("{} rank(s)", group.size), .points = {}};
    for (const BatchPlan& batch : group.batches) {
      if (batch.fits) series.points.emplace_back(batch.batch, value(batch));
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

LinePlot parts_of_step(const GroupPlan& group) {
  LinePlot plot{.title = fmt::format("Where a step goes, {} rank(s)", group.size),
                .x_label = "batch",
                .y_label = "ms",
                .series = {{"weights", {}}, {"attention", {}}, {"reduce", {}}, {"other", {}}},
                .x_scale = Scale::kLog};
  for (const BatchPlan& batch : group.batches) {
    const double parts[] = {batch.step.weights, batch.step.attention, batch.step.reduce,
                            batch.step.other};
    for (size_t i = 0; i < 4; ++i) {
      plot.series[i].points.emplace_back(batch.batch, parts[i] * 1e3);
    }
  }
  return plot;
}

Table memory_table(const CapacityPlan& plan) {
  Table table{.columns = {"ranks", "weights", "KV cache", "workspace", "buffers", "total", "of",
                          "sequences"},
              .rows = {}};
  for (const GroupPlan& group : plan.groups) {
    const RankLedger& ledger = group.ledger;
    table.rows.push_back({std::to_string(group.size), format_bytes(ledger.weights),
                          format_bytes(ledger.kv_cache), format_bytes(ledger.workspace),
                          format_bytes(ledger.scratch + ledger.input + ledger.communication),
                          format_bytes(ledger.total()), format_bytes(group.memory),
                          group.why_not.empty() ? std::to_string(group.sequences) : group.why_not});
  }
  return table;
}

Table cluster_table(const CapacityPlan& plan) {
  Table table{.columns = {"ranks", "groups", "of ranks", "batch", "TTFT ms", "TPOT ms", "kW",
                          plan.currency + "/h", plan.currency + "/M output", ""},
              .rows = {}};
  for (const ClusterPlan& cluster : plan.clusters) {
    table.rows.push_back(
        {std::to_string(cluster.size * cluster.replicas), std::to_string(cluster.replicas),
         std::to_string(cluster.size), std::to_string(cluster.batch),
         fmt::format("{:.1f}", cluster.ttft * 1e3), fmt::format("{:.2f}", cluster.tpot * 1e3),
         fmt::format("{:.1f}", cluster.bill.kilowatts), fmt::format("{:.2f}", cluster.bill.hour),
         fmt::format("{:.2f}", cluster.bill.million_tokens), cluster.why_not});
  }
  return table;
}

std::vector<Figure> headline(const CapacityPlan& plan) {
  std::vector<Figure> figures;
  if (!plan.clusters.empty() && plan.clusters[0].why_not.empty()) {
    const ClusterPlan& best = plan.clusters[0];
    figures.push_back({"ranks", std::to_string(best.size * best.replicas),
                       fmt::format("{} x {}", best.replicas, best.size)});
    figures.push_back({"TTFT", fmt::format("{:.0f}", best.ttft * 1e3), "ms"});
    figures.push_back({"TPOT", fmt::format("{:.1f}", best.tpot * 1e3), "ms"});
    figures.push_back(
        {"cost", fmt::format("{:.2f}", best.bill.million_tokens), plan.currency + "/M output"});
  }
  return figures;
}

}  // namespace

std::string plan_html(const CapacityPlan& plan) {
  HtmlPage page("octet plan", fmt::format("{} on {}, KV cache {}, context {}", plan.model,
                                          plan.hardware, plan.kv_cache_dtype, plan.context));
  if (const auto figures = headline(plan); !figures.empty()) page.figures(figures);
  page.heading("Memory of a rank");
  page.table(memory_table(plan));
  page.heading("Speed by batch");
  page.plot(
      by_batch(plan, "A step", "ms", [](const BatchPlan& b) { return b.step.total() * 1e3; }));
  page.plot(by_batch(plan, "Throughput of a group", "tokens/s",
                     [](const BatchPlan& b) { return b.tokens_per_second; }));
  for (const GroupPlan& group : plan.groups) {
    if (group.why_not.empty()) page.plot(parts_of_step(group));
  }
  if (!plan.clusters.empty()) {
    page.heading("The load");
    page.table(cluster_table(plan));
  }
  for (const std::string& note : plan.notes) page.paragraph(note);
  page.data(plan_json(plan));
  return page.text();
}

}  // namespace octet
