#include "runtime/layers/linear.h"

#include "kernels/check.h"
#include "kernels/fold.h"
#include "runtime/layers/reduce_timer.h"

namespace octet {

ColumnParallelLinear::ColumnParallelLinear(const ModelContext& context, LinearWeight weight)
    : packed_(context.backend.pack(weight)) {
  context.held_bytes += packed_->bytes();
}

Tensor ColumnParallelLinear::forward(Step& step, const Tensor& x) const {
  const Tensor out = step.arena.allocate(DType::kF32, {x.dim(0), packed_->out_features()});
  forward(step, x, out);
  return out;
}

void ColumnParallelLinear::forward(Step& step, const Tensor& x, const Tensor& out) const {
  step.backend.linear(x, *packed_, out.reshape({1, x.dim(0), packed_->out_features()}));
}

RowParallelLinear::RowParallelLinear(const WeightScope& scope, std::string_view name,
                                     int64_t out_features, int64_t in_features)
    : plan_(1, 1) {
  const LinearWeight weight = scope.row_parallel(name, out_features, in_features);
  plan_ = ReducePlan(weight.num_shards, scope.context().size);
  packed_ = scope.context().backend.pack(weight);
  scope.context().held_bytes += packed_->bytes();
  const std::string bias = std::string(name) + ".bias";
  if (scope.has(bias)) bias_ = scope.vector(bias, out_features);
}

Delta RowParallelLinear::forward(Step& step, const Tensor& x, const Tensor& out) const {
  const int64_t n = out.dim(0), h = out.dim(1);
  if (step.comm.size() == 1) {
    step.backend.linear(x, *packed_, out.reshape({1, n, h}));
    return {.value = out, .bias = bias_};
  }
  const Tensor roots = reduce_buffer(step, packed_->num_roots(), n, h);
  step.backend.linear(x, *packed_, roots);
  const UnfoldedSum sum = reduce_unfolded(step, plan_, roots, out);
  if (step.probe == nullptr || sum.empty()) return {.value = out, .bias = bias_, .unfolded = sum};
  fold(sum, 0, static_cast<size_t>(n * h), out.data<float>());  // a probe wants to see it
  return {.value = out, .bias = bias_};
}

Tensor reduce_buffer(Step& step, int64_t roots, int64_t n, int64_t h) {
  const std::span<float> memory = step.comm.send_buffer(static_cast<size_t>(roots * n * h));
  return Tensor::view(memory.data(), DType::kF32, {roots, n, h});
}

void reduce(Step& step, const ReducePlan& plan, const Tensor& roots, const Tensor& out) {
  const ReduceTimer timer(step.reduce_seconds);
  step.comm.all_reduce_sum(plan, roots.span<const float>(), out.span<float>());
}

UnfoldedSum reduce_unfolded(Step& step, const ReducePlan& plan, const Tensor& roots,
                            const Tensor& out) {
  const ReduceTimer timer(step.reduce_seconds);
  const UnfoldedSum sum = step.comm.all_reduce_unfolded(plan, roots.span<const float>(),
                                                        out.span<float>(), step.shares_norms);
  OCTET_CHECK(!step.shares_norms || !sum.empty(), "{} shows, and folds", step.comm.name());
  return sum;
}

}  // namespace octet
