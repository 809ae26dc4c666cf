// Planner: what would a model take, and give, on machines of one kind? Which tensor-parallel sizes
// fit and how many sequences then; time to first token, time a token and throughput by batch; how
// many ranks a load needs. The bytes are the start-up ledger's, the times StepModel's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/capacity/costs.h"
#include "runtime/capacity/step_cost.h"
#include "runtime/engine/rank_ledger.h"

namespace octet {

// Of the inputs that trained weights make: between none and an MLP's hidden; SmolLM2's.
inline constexpr double kTrainedTail = 0.7;

struct PlanRequest {
  EngineOptions options;                   // what an engine would be started with
  std::vector<int> tensor_parallel_sizes;  // empty: 1 to what a node or the model's shards hold
  std::vector<int> batches{1, 8, 32, 64, 128};
  int input_tokens = 0, output_tokens = 0;  // of a request; 0: a context that is full (see context)
  int context = 0;             // tokens that a decode step sees; 0: input + half the output, or all
  double memory_bytes = 0;     // of a rank; 0: the profile's
  double tail = kTrainedTail;  // see StepModel: 0 plans a run with dummy weights
  // A load to be carried, where rate > 0.
  double rate = 0;                            // requests a second
  double ttft_seconds = 0, tpot_seconds = 0;  // 0: no limit
  double utilization = 0.8;                   // of the capacity that the load may take
};

struct BatchPlan {
  int batch = 0;
  bool fits = false;
  StepCost step;                   // decode
  double ttft = 0;                 // one prompt, nobody else's
  double ttft_loaded = 0;          // after the step of the others that it waits for
  double tokens_per_second = 0;    // of one replica at decode
  double requests_per_second = 0;  // prompts included; 0: no lengths given
  double tpot_loaded = 0;          // with the prompts of the others between; 0: one token has none
};

struct GroupPlan {
  int size = 0;         // tensor-parallel
  std::string why_not;  // empty: fits
  RankLedger ledger;    // of the rank with the most, its KV cache for one sequence
  double memory = 0;    // that the runtime may use of a rank
  double kv_bytes_of_sequence = 0, kv_bytes_of_token = 0;
  int sequences = 0;  // of max_model_len that fit
  StepBytes bytes;
  double weights_floor = 0;  // seconds: reading the weights once at full bandwidth
  std::vector<BatchPlan> batches;
  std::vector<std::string> notes;
};

// The cheapest way to carry the load with one size of group.
struct ClusterPlan {
  int size = 0, replicas = 0, batch = 0;  // ranks of a group, groups, sequences in each
  double ttft = 0, tpot = 0;
  std::string why_not;  // empty: it can be carried
  Bill bill;
};

struct CapacityPlan {
  std::string model, hardware, kv_cache_dtype, currency;
  int max_model_len = 0, context = 0;
  PlanRequest request;
  std::vector<GroupPlan> groups;
  std::vector<ClusterPlan> clusters;  // fewest ranks first; those that cannot last
  std::vector<std::string> notes;     // also what this build cannot run
};

// Throws InputError.
CapacityPlan plan_capacity(const PlanRequest& request, const HardwareProfile& hardware,
                           const HardwareProfile* network, const Costs& costs);

// As a table on a terminal, as JSON, as one self-contained page with plots.
std::string plan_text(const CapacityPlan& plan);
std::string plan_json(const CapacityPlan& plan);
std::string plan_html(const CapacityPlan& plan);

}  // namespace octet
