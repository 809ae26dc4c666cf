#include <nlohmann/json.hpp>

#include "runtime/capacity/planner.h"

namespace octet {
namespace {

using nlohmann::json;

json to_json(const RankLedger& ledger) {
  return {{"weights", ledger.weights},   {"scratch", ledger.scratch},
          {"kv_cache", ledger.kv_cache}, {"workspace", ledger.workspace},
          {"input", ledger.input},       {"communication", ledger.communication},
          {"staging", ledger.staging},   {"total", ledger.total()},
          {"peak", ledger.peak()}};
}

json to_json(const BatchPlan& batch) {
  const StepCost& step = batch.step;
  return {{"batch", batch.batch},
          {"fits", batch.fits},
          {"ttft_seconds", batch.ttft},
          {"step_seconds", step.total()},
          {"step",
           {{"weights", step.weights},
            {"attention", step.attention},
            {"reduce", step.reduce},
            {"other", step.other}}},
          {"tokens_per_second", batch.tokens_per_second},
          {"requests_per_second", batch.requests_per_second},
          {"tpot_loaded_seconds", batch.tpot_loaded}};
}

json to_json(const GroupPlan& group) {
  json batches = json::array();
  for (const BatchPlan& batch : group.batches) batches.push_back(to_json(batch));
  return {{"ranks", group.size},
          {"fits", group.why_not.empty()},
          {"why_not", group.why_not},
          {"ledger", to_json(group.ledger)},
          {"memory_bytes", group.memory},
          {"kv_bytes_of_token", group.kv_bytes_of_token},
          {"kv_bytes_of_sequence", group.kv_bytes_of_sequence},
          {"sequences", group.sequences},
          {"weight_bytes_of_step", group.bytes.weights},
          {"weights_floor_seconds", group.weights_floor},
          {"batches", batches},
          {"notes", group.notes}};
}

json to_json(const ClusterPlan& cluster) {
  return {{"ranks", cluster.size * cluster.replicas},
          {"tensor_parallel_size", cluster.size},
          {"replicas", cluster.replicas},
          {"batch", cluster.batch},
          {"ttft_seconds", cluster.ttft},
          {"tpot_seconds", cluster.tpot},
          {"why_not", cluster.why_not},
          {"kilowatts", cluster.bill.kilowatts},
          {"cost_of_hour", cluster.bill.hour},
          {"cost_of_million_tokens", cluster.bill.million_tokens}};
}

}  // namespace

std::string plan_json(const CapacityPlan& plan) {
  json groups = json::array(), clusters = json::array();
  for (const GroupPlan& group : plan.groups) groups.push_back(to_json(group));
  for (const ClusterPlan& cluster : plan.clusters) clusters.push_back(to_json(cluster));
  return json{{"model", plan.model},
              {"hardware", plan.hardware},
              {"kv_cache_dtype", plan.kv_cache_dtype},
              {"max_model_len", plan.max_model_len},
              {"context", plan.context},
              {"currency", plan.currency},
              {"groups", groups},
              {"clusters", clusters},
              {"notes", plan.notes}}
      .dump(2);
}

}  // namespace octet
