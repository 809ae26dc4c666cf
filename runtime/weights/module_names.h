// What published checkpoints call a family's tensors, and what they are called here. Names here are
// the same for every family (LLaMA's), matrices are [out, in], q, k and v are apart:
//   model.embed_tokens  model.embed_positions  model.embed_norm  model.norm  lm_head
//   model.project_in  model.project_out
//   model.layers.N. input_layernorm  post_attention_layernorm
//                   self_attn.{q,k,v,o}_proj  self_attn.{q,k}_norm  mlp.{gate,up,down}_proj
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace octet {

// How a published matrix holds the one that is wanted.
enum class Layout {
  kPlain,              // [out, in]
  kTransposed,         // [in, out]: GPT-2's Conv1D
  kStacked,            // rows of q, then of k, then of v
  kStackedTransposed,  // the same along columns
  kGrouped,            // for each KV head: rows of its query heads, of k, of v
  kInterleavedHeads,   // rows of each head of q or k in the order 0, d/2, 1, d/2 + 1, ...
};

enum class Bias { kNone, kOptional, kRequired };

struct ModuleName {
  std::string_view published;  // "transformer.h.*.mlp.c_fc": * is the layer's number
  std::string_view name;       // "mlp.up_proj", in a layer where published has a *
  Layout layout = Layout::kPlain;
  Bias bias = Bias::kNone;
};

// "self_attn.q_proj" of layer 7 is "model.layers.7.self_attn.q_proj"; layer -1: the name itself.
std::string full_name(std::string_view name, int layer);

// The layer's number where `text` is `pattern` with a number for its *; -1 where they are equal and
// there is no *; nullopt: neither. Numbers are canonical ("0", "12").
std::optional<int> match_layer(std::string_view pattern, std::string_view text);

}  // namespace octet
