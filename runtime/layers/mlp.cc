#include "runtime/layers/mlp.h"

namespace octet {
namespace {

LinearWeight load_gate_up(const WeightScope& scope) {
  const ModelArgs& args = scope.context().args;
  LinearWeight weight = scope.column_parallel(
      {{"gate_proj", args.intermediate_size}, {"up_proj", args.intermediate_size}},
      args.hidden_size);
  weight.activation = Activation::kSiluGate;
  return weight;
}

}  // namespace

GatedMlp::GatedMlp(const WeightScope& scope)
    : gate_up_(scope.context(), load_gate_up(scope)),
      down_(scope, "down_proj", scope.context().args.hidden_size,
            scope.context().args.intermediate_size) {}

Delta GatedMlp::forward(Step& step, const Tensor& x, const Tensor& out) const {
  const size_t mark = step.arena.used();
  const Delta delta = down_.forward(step, gate_up_.forward(step, x), out);
  step.arena.release(mark);
  return delta;
}

}  // namespace octet
