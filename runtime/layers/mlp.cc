#include "runtime/layers/mlp.h"

namespace octet {
namespace {

LinearWeight load_up(const WeightScope& scope) {
  const ModelArgs& args = scope.context().args;
  const ColumnWeight gate{"gate_proj", args.intermediate_size};
  const ColumnWeight up{"up_proj", args.intermediate_size};
  LinearWeight weight = args.activation == Activation::kSiluGate
                            ? scope.column_parallel({gate, up}, args.hidden_size)
                            : scope.column_parallel({up}, args.hidden_size);
  weight.activation = args.activation;
  return weight;
}

}  // namespace

Mlp::Mlp(const WeightScope& scope, int layer)
    : layer_(layer),
      up_(scope.context(), load_up(scope)),
      down_(scope, "down_proj", scope.context().args.hidden_size,
            scope.context().args.intermediate_size) {}

Delta Mlp::forward(Step& step, const Tensor& x, const Tensor& out) const {
  const size_t mark = step.arena.used();
  step.observe(Stage::kMlpInput, layer_, x);
  const Tensor hidden = up_.forward(step, x);
  step.observe(Stage::kMlpHidden, layer_, hidden);
  const Delta delta = down_.forward(step, hidden, out);
  step.observe(Stage::kMlpOutput, layer_, delta.value);
  step.arena.release(mark);
  return delta;
}

}  // namespace octet
