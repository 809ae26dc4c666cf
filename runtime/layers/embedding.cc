#include "runtime/layers/embedding.h"

#include <numeric>
#include <utility>

namespace octet {
namespace {

LinearWeight head_weight(const WeightScope& root, std::string_view module, int64_t vocab_size,
                         int64_t hidden_size) {
  LinearWeight weight = root.column_parallel({{module, vocab_size}}, hidden_size);
  weight.top = true;
  return weight;
}

}  // namespace

VocabParallelEmbedding::VocabParallelEmbedding(const WeightScope& scope, int64_t vocab_size,
                                               int64_t hidden_size)
    : plan_(scope.context().size, scope.context().size) {
  const WeightScope::Table table = scope.table(vocab_size, hidden_size);
  table_ = table.rows;
  first_id_ = static_cast<int32_t>(table.first);
}

VocabParallelEmbedding::VocabParallelEmbedding(const LmHead& head, int size)
    : tied_(&head.packed()), first_id_(head.first_id()), plan_(size, size) {}

void VocabParallelEmbedding::rows(Step& step, const Tensor& out) const {
  if (tied_ != nullptr) {
    step.backend.embed(step.input.token_ids, *tied_, first_id_, out);
  } else {
    step.backend.embed(step.input.token_ids, table_, first_id_, out);
  }
}

void VocabParallelEmbedding::forward(Step& step, const Tensor& out) const {
  if (step.comm.size() == 1) {
    rows(step, out);
    return;
  }
  const Tensor part = reduce_buffer(step, 1, out.dim(0), out.dim(1));
  rows(step, part.reshape({out.dim(0), out.dim(1)}));
  reduce(step, plan_, part, out);
}

LmHead::LmHead(const WeightScope& root, std::string_view module, int64_t vocab_size,
               int64_t hidden_size)
    : linear_(root.context(), head_weight(root, module, vocab_size, hidden_size)) {
  const ModelContext& context = root.context();
  for (int rank = 0; rank < context.size; ++rank) {
    const TensorSlice of_rank =
        context.partition.slice(Role::kVocab, vocab_size, rank, context.size);
    columns_.push_back(static_cast<size_t>(of_rank.end - of_rank.begin));
    if (rank == context.rank) first_id_ = static_cast<int32_t>(of_rank.begin);
  }
}

Tensor LmHead::forward(Step& step, const Tensor& x) const {
  const Tensor part = step.arena.allocate(DType::kF32, {x.dim(0), linear_.out_features()});
  // Beside a prompt one row of logits costs little, and its first token does not wait for what
  // linear_top() prepares.
  if (step.input.top_only && step.input.decode_only()) {
    step.backend.linear_top(x, linear_.packed(), part.reshape({1, x.dim(0), part.dim(1)}));
  } else {
    linear_.forward(step, x, part);
  }
  if (step.comm.size() == 1) return part;
  const int64_t m = x.dim(0);
  const auto vocab_size =
      static_cast<int64_t>(std::accumulate(columns_.begin(), columns_.end(), size_t{0}));
  Tensor logits;
  if (step.comm.rank() == 0) logits = step.arena.allocate(DType::kF32, {m, vocab_size});
  step.comm.gather(part.span<const float>(), static_cast<size_t>(m), columns_, logits.span<float>(),
                   0);
  return logits;
}

}  // namespace octet
