#include "runtime/capacity/planner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/backend_factory.h"
#include "runtime/engine/ledger.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr int kMostSequences = 4096;

// Whose layouts the hardware has: the CPU's own, or weights as they come.
std::unique_ptr<Backend> sizing_backend(const HardwareProfile& hardware) {
  const bool cpu = hardware.device == "cpu";
  return make_backend({.device = cpu ? "cpu" : "reference", .threads = 1});
}

class GroupPlanner {
 public:
  GroupPlanner(const PlanRequest& request, const HardwareProfile& hardware,
               const HardwareProfile* network, Backend& backend, int size)
      : request_(request),
        hardware_(hardware),
        network_(network),
        backend_(backend),
        size_(size),
        plan_(options_of(request), size),
        footprint_(footprint(plan_, backend, 0, size)) {}

  GroupPlan plan() {
    GroupPlan group{.size = size_};
    KVCacheConfig cache = plan_kv_cache(plan_.options, plan_.files.args, plan_.partition, 0, size_);
    group.kv_bytes_of_token = static_cast<double>(kv_block_bytes(cache)) / plan_.options.block_size;
    group.kv_bytes_of_sequence =
        static_cast<double>(kv_block_bytes(cache)) * max_blocks_per_sequence(plan_.options);
    for (int rank = 0; rank < size_; ++rank) {
      const RankLedger ledger = rank_ledger(plan_, backend_, rank, size_);
      if (rank == 0 || needed(ledger) > needed(group.ledger)) group.ledger = ledger;
    }
    group.memory = memory();
    judge(group);
    const StepModel model(plan_, footprint_, group.kv_bytes_of_token, request_.tail, hardware_,
                          network_, size_);
    group.bytes = model.bytes();
    if (hardware_.facts.contains("memory_bandwidth")) {
      group.weights_floor = group.bytes.weights / hardware_.fact("memory_bandwidth");
    }
    group.notes = model.borrowed();
    if (size_ > hardware_.ranks_per_node && network_ == nullptr) {
      group.notes.push_back("ranks on several nodes, and no --network: its time is left out");
    }
    for (const int batch : request_.batches)
      group.batches.push_back(batch_plan(group, model, batch));
    return group;
  }

  // The most sequences at which the limits hold; why_not where one does not.
  ClusterPlan cluster(const GroupPlan& group, const Costs& costs) const {
    ClusterPlan cluster{.size = size_};
    if (!group.why_not.empty()) {
      cluster.why_not = group.why_not;
      return cluster;
    }
    const StepModel model(plan_, footprint_, group.kv_bytes_of_token, request_.tail, hardware_,
                          network_, size_);
    const auto within = [&](const BatchPlan& plan) {
      return (request_.tpot_seconds == 0 || plan.tpot_loaded <= request_.tpot_seconds) &&
             (request_.ttft_seconds == 0 || plan.ttft_loaded <= request_.ttft_seconds);
    };
    const BatchPlan alone = batch_plan(group, model, 1);
    if (!within(alone)) {
      cluster.ttft = alone.ttft_loaded;
      cluster.tpot = alone.tpot_loaded;
      cluster.why_not = fmt::format("one request alone has TTFT {:.1f} ms and TPOT {:.2f} ms",
                                    cluster.ttft * 1e3, cluster.tpot * 1e3);
      return cluster;
    }
    int low = 1, high = group.sequences;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (within(batch_plan(group, model, middle))) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    const BatchPlan best = batch_plan(group, model, low);
    cluster.batch = low;
    cluster.ttft = best.ttft_loaded;
    cluster.tpot = best.tpot_loaded;
    const double groups = request_.rate / (request_.utilization * best.requests_per_second);
    if (groups > 1e6) {
      cluster.why_not = "more than a million groups";
      return cluster;
    }
    cluster.replicas = std::max(1, static_cast<int>(std::ceil(groups - 1e-9)));
    cluster.bill =
        bill_of(hardware_, costs, size_ * cluster.replicas, request_.rate * request_.output_tokens);
    return cluster;
  }

  const Plan& parts() const { return plan_; }
  double context() const {
    if (request_.context > 0) return request_.context;
    if (request_.input_tokens > 0) return request_.input_tokens + request_.output_tokens / 2.0;
    return plan_.options.max_model_len;
  }

 private:
  // The start-up ledger's options: a cache for as many sequences as are asked for, whatever this
  // machine has free.
  static EngineOptions options_of(const PlanRequest& request) {
    EngineOptions options = request.options;
    options.kv_cache_memory = int64_t{1} << 52;
    return options;
  }

  // On a CPU weights are staged where they stay.
  double needed(const RankLedger& ledger) const {
    return static_cast<double>(hardware_.device == "cpu" ? ledger.peak() : ledger.total());
  }

  // Of a rank. The ranks of a CPU node share its memory.
  double whole_memory() const {
    if (request_.memory_bytes > 0) return request_.memory_bytes;
    const double all = hardware_.fact("memory_bytes");
    return hardware_.device == "cpu" ? all * hardware_.ranks_per_node / size_ : all;
  }

  // What the runtime may take of it.
  double memory() const {
    const double all = whole_memory();
    const ProfileTable* measured = hardware_.find("memory.reserved", size_);
    const double reserved =
        measured ? measured->grid.value({}) : hardware_.fact_or("reserved_bytes", 0);
    return std::max(0.0, all - reserved - hardware_.fact_or("launcher_bytes", 0) / size_);
  }

  void judge(GroupPlan& group) const {
    const RankLedger& ledger = group.ledger;
    const double need = needed(ledger);
    const auto fixed = static_cast<double>(ledger.total() - ledger.kv_cache);
    const double room = group.memory - fixed;
    if (need <= group.memory && group.kv_bytes_of_sequence > 0) {
      const double most = std::min({room / group.kv_bytes_of_sequence,
                                    static_cast<double>(plan_.options.max_num_batched_tokens),
                                    static_cast<double>(kMostSequences)});
      group.sequences = static_cast<int>(most);
      return;
    }
    group.why_not = fmt::format("needs {} a rank, {} of {} are the runtime's", format_bytes(need),
                                format_bytes(group.memory), format_bytes(whole_memory()));
    const auto weights = static_cast<double>(ledger.weights);
    if (weights > group.memory) {
      group.why_not += fmt::format(" (weights alone {})", format_bytes(weights));
    } else if (static_cast<double>(ledger.total()) <= group.memory) {
      group.why_not +=
          fmt::format(" (while it loads: {} more than the weights)",
                      format_bytes(static_cast<double>(ledger.staging + ledger.communication)));
    } else {
      group.why_not += fmt::format(" (weights {}, KV cache of {} sequence(s) {})",
                                   format_bytes(weights), plan_.options.max_num_seqs,
                                   format_bytes(static_cast<double>(ledger.kv_cache)));
    }
  }

  BatchPlan batch_plan(const GroupPlan& group, const StepModel& model, int batch) const {
    BatchPlan plan{.batch = batch, .fits = batch <= group.sequences};
    const auto sequences = static_cast<double>(batch);
    plan.step =
        model.cost({.decode_rows = sequences, .decode_context = context(), .sampled = sequences});
    plan.ttft = model.prefill(request_.input_tokens > 0 ? request_.input_tokens : context());
    plan.tokens_per_second = sequences / plan.step.total();
    plan.ttft_loaded = plan.ttft + (batch > 1 ? plan.step.total() : 0);
    plan.tpot_loaded = plan.step.total();
    if (request_.output_tokens == 0) return plan;
    const double decoded = request_.output_tokens - 1;  // the prompt's step gives the first token
    plan.tpot_loaded = decoded > 0 ? plan.step.total() + (sequences - 1) * plan.ttft / decoded : 0;
    plan.requests_per_second = sequences / (decoded * plan.step.total() + sequences * plan.ttft);
    return plan;
  }

  const PlanRequest& request_;
  const HardwareProfile& hardware_;
  const HardwareProfile* network_;
  Backend& backend_;
  int size_;
  Plan plan_;
  Footprint footprint_;
};

// What the plan leaves out for want of a figure.
void note_what_is_missing(CapacityPlan& plan, const HardwareProfile& hardware, const Costs& costs) {
  const bool several = std::ranges::any_of(
      plan.groups, [](const GroupPlan& group) { return group.size > 1 && group.why_not.empty(); });
  if (several && hardware.find("reduce", 2) == nullptr) {
    plan.notes.push_back(
        fmt::format("hardware {} has no table \"reduce\": reduces count as 0 ms", hardware.name));
  }
  if (plan.kv_cache_dtype == "int8" && hardware.find("attention", 1) != nullptr) {
    plan.notes.insert(
        plan.notes.begin(),
        fmt::format(
            "hardware {} has no attention over an int8 cache: its times are of a 16-bit one",
            hardware.name));
  }
  if (plan.clusters.empty()) return;
  if (!hardware.facts.contains("node_power")) {
    plan.notes.push_back(
        fmt::format("hardware {} has no fact node_power: power counts as 0", hardware.name));
  }
  if (!costs.device_hour.contains(hardware.name)) {
    plan.notes.push_back(
        fmt::format("the prices have no device_hour.{}: its devices count as 0 {}, see --costs",
                    hardware.name, costs.currency));
  }
}

// Throws InputError.
void require_plausible(const PlanRequest& request, const HardwareProfile& hardware,
                       const HardwareProfile* network) {
  if (hardware.device == "network") {
    throw InputError(
        fmt::format("--hardware {} is a network; give it as --network", hardware.name));
  }
  if (network != nullptr && network->device != "network") {
    throw InputError(
        fmt::format("--network {} is hardware of device {}; a network's is \"network\"",
                    network->name, network->device));
  }
  const bool lengths = request.input_tokens > 0 && request.output_tokens > 0;
  if (request.rate > 0 && !lengths) {
    throw InputError("--rate needs --input-tokens and --output-tokens");
  }
  if (request.output_tokens > 0 && !lengths)
    throw InputError("--output-tokens needs --input-tokens");
  if (request.rate == 0 && (request.ttft_seconds > 0 || request.tpot_seconds > 0)) {
    throw InputError("--ttft-ms and --tpot-ms need --rate");
  }
}

// Throws InputError.
void require_lengths(const PlanRequest& request, int max_model_len) {
  if (request.input_tokens + request.output_tokens > max_model_len) {
    throw InputError(fmt::format("{} input and {} output tokens exceed the model length {}",
                                 request.input_tokens, request.output_tokens, max_model_len));
  }
  if (request.context > max_model_len) {
    throw InputError(
        fmt::format("--context {} exceeds the model length {}", request.context, max_model_len));
  }
}

void note_what_does_not_run(CapacityPlan& plan, const HardwareProfile& hardware) {
  if (hardware.device != "cpu" && devices_with_memory(hardware.device) == 0) {
    plan.notes.push_back(
        fmt::format("not runnable here: there is no device \"{}\"", hardware.device));
  }
  if (hardware.find("linear.column", 1) == nullptr) {
    plan.notes.push_back(fmt::format(
        "times are a roofline: {:.0f}% of the bandwidth, {:.0f}% of the operations, published "
        "reduces",
        100 * hardware.fact_or("bandwidth_share", 1), 100 * hardware.fact_or("compute_share", 1)));
  }
}

std::vector<int> sizes_of(const PlanRequest& request, const HardwareProfile& hardware) {
  std::vector<int> sizes;
  for (const int size : request.tensor_parallel_sizes) {
    if (std::ranges::find(sizes, size) == sizes.end()) sizes.push_back(size);
  }
  if (!sizes.empty()) return sizes;
  for (int size = 1; size <= std::min(hardware.ranks_per_node, Partition::kDefaultShards);
       size *= 2) {
    sizes.push_back(size);
  }
  return sizes;
}

}  // namespace

CapacityPlan plan_capacity(const PlanRequest& request, const HardwareProfile& hardware,
                           const HardwareProfile* network, const Costs& costs) {
  require_plausible(request, hardware, network);
  CapacityPlan plan{.model = request.options.model.string(),
                    .hardware = hardware.name,
                    .kv_cache_dtype = {},
                    .currency = costs.currency,
                    .request = request};
  const auto backend = sizing_backend(hardware);
  for (const int size : sizes_of(request, hardware)) {
    GroupPlanner planner(request, hardware, network, *backend, size);
    plan.groups.push_back(planner.plan());
    plan.max_model_len = planner.parts().options.max_model_len;
    plan.context = static_cast<int>(planner.context());
    plan.kv_cache_dtype = planner.parts().options.kv_cache_dtype;
    require_lengths(request, plan.max_model_len);
    if (request.rate > 0) plan.clusters.push_back(planner.cluster(plan.groups.back(), costs));
  }
  std::ranges::stable_sort(plan.clusters, {}, [](const ClusterPlan& cluster) {
    return cluster.why_not.empty() ? cluster.size * cluster.replicas : INT32_MAX;
  });
  note_what_does_not_run(plan, hardware);
  note_what_is_missing(plan, hardware, costs);
  return plan;
}

}  // namespace octet
