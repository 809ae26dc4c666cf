#include "runtime/engine/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "runtime/engine/ledger.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

int shards_of(const Checkpoint& checkpoint) {
  const int own = checkpoint.reduction_shards();
  return own > 0 ? own : Partition::kDefaultShards;
}

// The most inputs that one int8 product of this model sums.
int64_t widest_shard(const ModelArgs& args, const Partition& partition) {
  int64_t widest = std::max(args.hidden_size, args.embedding_size());  // the head's is the second
  for (const Role role : {Role::kHeadInput, Role::kMlpIn}) {
    const std::vector<int64_t> cuts = partition.cuts(role, partition.extent(role));
    for (size_t i = 0; i + 1 < cuts.size(); ++i) widest = std::max(widest, cuts[i + 1] - cuts[i]);
  }
  return widest;
}

}  // namespace

ModelSource model_source(const EngineOptions& options) {
  return {.path = options.model,
          .dummy = options.load_format == "dummy",
          .int8_head = options.head == "int8",
          .num_hidden_layers = options.num_hidden_layers};
}

Plan::Plan(const EngineOptions& given, int size, int shards)
    : files(open_model(model_source(given))),
      partition(files.args, shards > 0 ? shards : shards_of(*files.checkpoint)),
      options(resolve_options(given, files.args, partition, files.has_int8(), size, size)) {
  const int64_t widest = widest_shard(files.args, partition);
  if (files.has_int8() && widest > kMaxInt8Columns) {
    throw InputError(fmt::format("{}: an int8 product over {} columns; at most {} are exact",
                                 given.model.string(), widest, kMaxInt8Columns));
  }
  if (size > partition.mlp_shards()) {
    throw InputError(fmt::format(
        "--tensor-parallel-size is {}, {} has {} reduction shards and runs on 1 to {} ranks", size,
        given.model.string(), partition.mlp_shards(), partition.mlp_shards()));
  }
}

}  // namespace octet
