#include "runtime/layers/probe.h"

#include "runtime/layers/step.h"

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

void Step::observe(Stage stage, int layer, const Tensor& value) const {
  if (probe == nullptr) return;
  if (backend.queue().device < 0) {
    probe->observe(stage, layer, value);
    return;
  }
  const Tensor host = Tensor::host(value.dtype(), value.shape());
  backend.download(value, host);
  probe->observe(stage, layer, host);
  if (stage == Stage::kResidual) backend.upload(host, value);
}

}  // namespace octet
