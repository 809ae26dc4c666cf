// Which of a checkpoint's weights a model's head is.
#pragma once

#include <string_view>

#include "runtime/weights/checkpoint.h"

namespace octet {

inline constexpr std::string_view kLmHead = "lm_head", kEmbedTokens = "model.embed_tokens";

// The head's module: lm_head; or the embedding where they are tied, unless an int8 lm_head was made
// of it, which then stands beside it.
std::string_view head_module(const Checkpoint& checkpoint, const ModelArgs& args);

}  // namespace octet
