#include "runtime/weights/head_module.h"

namespace octet {

std::string_view head_module(const Checkpoint& checkpoint, const ModelArgs& args) {
  if (!args.tie_word_embeddings) return kLmHead;
  const TensorInfo* head = checkpoint.find("lm_head.weight");
  return head != nullptr && head->dtype == DType::kI8 ? kLmHead : kEmbedTokens;
}

}  // namespace octet
