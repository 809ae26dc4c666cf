// Probe: sees the activations of a step while they are made; for tests and for `octet verify`.
#pragma once

#include <string_view>

#include "kernels/tensor.h"

namespace octet {

// In the order of a block. [n, width] fp32; width is this rank's part where a stage is cut by rank.
enum class Stage {
  kResidual,         // the stream before block `layer`; after the last for num_hidden_layers
  kAttentionInput,   // after the norm, whose features an artefact may hold at another scale
  kQkv,              // this rank's query, key and value heads, before the rotation
  kAttention,        // this rank's query heads, mixed
  kAttentionOutput,  // reduced, without the bias
  kMlpInput,         // likewise
  kMlpHidden,        // this rank's part, after the activation
  kMlpOutput,        // reduced, without the bias
  kFinal,            // after the final norm; its layer is num_hidden_layers
};
inline constexpr int kStages = 9;
std::string_view stage_name(Stage stage);  // "attention output"

class Probe {
 public:
  virtual ~Probe() = default;

  // `value` is host memory, valid during the call. A probe may overwrite kResidual, and the step
  // goes on from there.
  virtual void observe(Stage stage, int layer, const Tensor& value) = 0;
};

}  // namespace octet
