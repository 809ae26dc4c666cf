#include "runtime/layers/probe.h"

namespace octet {

std::string_view stage_name(Stage stage) {
  switch (stage) {
    case Stage::kResidual:
      return "residual";
    case Stage::kAttentionInput:
      return "attention input";
    case Stage::kQkv:
      return "q, k, v";
    case Stage::kAttention:
      return "attention";
    case Stage::kAttentionOutput:
      return "attention output";
    case Stage::kMlpInput:
      return "MLP input";
    case Stage::kMlpHidden:
      return "MLP hidden";
    case Stage::kMlpOutput:
      return "MLP output";
    case Stage::kFinal:
      return "final norm";
  }
  return "";
}

}  // namespace octet
