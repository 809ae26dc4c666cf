#include "runtime/weights/module_shapes.h"

#include "kernels/check.h"

namespace octet {

Shape module_shape(std::string_view name, const ModelArgs& args) {
  const int64_t hidden = args.hidden_size, mlp = args.intermediate_size;
  const int64_t q = int64_t{args.num_attention_heads} * args.head_dim;
  const int64_t kv = int64_t{args.num_key_value_heads} * args.head_dim;
  const struct {
    std::string_view name;
    Shape shape;
  } shapes[] = {
      {"model.embed_tokens", {args.vocab_size, args.embedding_size()}},
      {"lm_head", {args.vocab_size, args.embedding_size()}},
      {"model.embed_positions", {args.max_position_embeddings + args.position_offset, hidden}},
      {"model.project_in", {hidden, args.embedding_size()}},
      {"model.project_out", {args.embedding_size(), hidden}},
      {"model.embed_norm", {hidden}},
      {"model.norm", {hidden}},
      {"input_layernorm", {hidden}},
      {"post_attention_layernorm", {hidden}},
      {"self_attn.q_norm", {args.head_dim}},
      {"self_attn.k_norm", {args.head_dim}},
      {"self_attn.q_proj", {q, hidden}},
      {"self_attn.k_proj", {kv, hidden}},
      {"self_attn.v_proj", {kv, hidden}},
      {"self_attn.o_proj", {hidden, q}},
      {"mlp.gate_proj", {mlp, hidden}},
      {"mlp.up_proj", {mlp, hidden}},
      {"mlp.down_proj", {hidden, mlp}},
  };
  for (const auto& known : shapes) {
    if (known.name == name) return known.shape;
  }
  OCTET_CHECK(false, "no module is called {}", name);
  return {};
}

std::vector<ModuleTensor> module_tensors(std::span<const ModuleName> modules,
                                         const ModelArgs& args) {
  std::vector<ModuleTensor> tensors;
  for (const ModuleName& module : modules) {
    if (module.name == "lm_head" && args.tie_word_embeddings) continue;
    const Shape shape = module_shape(module.name, args);
    const bool in_layer = module.published.find('*') != std::string_view::npos;
    for (int i = 0; i < (in_layer ? args.num_hidden_layers : 1); ++i) {
      const std::string name = full_name(module.name, in_layer ? i : -1);
      tensors.push_back({name + ".weight", shape});
      if (module.bias == Bias::kRequired) tensors.push_back({name + ".bias", {shape[0]}});
    }
  }
  return tensors;
}

}  // namespace octet
