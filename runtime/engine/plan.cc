#include "runtime/engine/plan.h"

#include <fmt/format.h>

#include "runtime/engine/ledger.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

int shards_of(const Checkpoint& checkpoint) {
  const int own = checkpoint.reduction_shards();
  return own > 0 ? own : Partition::kDefaultShards;
}

}  // namespace

Plan::Plan(const EngineOptions& given, int size, int shards)
    : files(open_model({.path = given.model,
                        .dummy = given.load_format == "dummy",
                        .num_hidden_layers = given.num_hidden_layers})),
      partition(files.args, shards > 0 ? shards : shards_of(*files.checkpoint)),
      options(resolve_options(given, files.args, partition, files.has_int8(), size, size)) {
  if (size > partition.mlp_shards()) {
    throw InputError(fmt::format(
        "--tensor-parallel-size is {}, {} has {} reduction shards and runs on 1 to {} ranks", size,
        given.model.string(), partition.mlp_shards(), partition.mlp_shards()));
  }
}

}  // namespace octet
