#include "runtime/layers/embedding.h"

#include <algorithm>
#include <utility>

namespace octet {

VocabParallelEmbedding::VocabParallelEmbedding(const WeightScope& scope, int64_t vocab_size,
                                               int64_t hidden_size)
    : plan_(scope.context().size, scope.context().size) {
  TensorSlice slice;
  const Tensor rows = scope.rows("weight", vocab_size, hidden_size, &slice);
  table_ = scope.context().backend.allocate(rows.dtype(), rows.shape());
  scope.context().backend.upload(rows, table_);
  scope.context().held_bytes += table_.bytes();
  first_id_ = static_cast<int32_t>(slice.begin);
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

LmHead::LmHead(const WeightScope& scope, int64_t vocab_size, int64_t hidden_size) {
  const ModelContext& context = scope.context();
  TensorSlice slice;
  LinearWeight weight;
  weight.weight = scope.rows("weight", vocab_size, hidden_size, &slice);
  if (scope.has("bias")) weight.bias = scope.elements("bias", vocab_size);
  first_id_ = static_cast<int32_t>(slice.begin);
  linear_ = std::make_unique<ColumnParallelLinear>(context, std::move(weight));
  for (int rank = 0; rank < context.size; ++rank) {
    const TensorSlice of_rank =
        context.partition.slice(Role::kVocab, vocab_size, rank, context.size);
    columns_.push_back(of_rank.end - of_rank.begin);
  }
}

Tensor LmHead::forward(Step& step, const Tensor& x) const {
  const Tensor part = linear_->forward(step, x);
  if (step.comm.size() == 1) return part;
  const int64_t m = x.dim(0);
  int64_t vocab_size = 0;
  std::vector<size_t> counts;
  for (const int64_t columns : columns_) {
    counts.push_back(static_cast<size_t>(m * columns));
    vocab_size += columns;
  }
  const bool leader = step.comm.rank() == 0;
  Tensor by_rank, logits;
  if (leader) {
    by_rank = step.arena.allocate(DType::kF32, {m * vocab_size});
    logits = step.arena.allocate(DType::kF32, {m, vocab_size});
  }
  step.comm.gather(part.span<const float>(), counts, by_rank.span<float>(), 0);
  if (!leader) return {};
  const float* from = by_rank.data<float>();
  int64_t column = 0;
  for (const int64_t columns : columns_) {
    for (int64_t row = 0; row < m; ++row, from += columns) {
      std::copy_n(from, columns, logits.data<float>() + row * vocab_size + column);
    }
    column += columns;
  }
  return logits;
}

}  // namespace octet
