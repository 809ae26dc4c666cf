#include "runtime/weights/gguf_architectures.h"

#include <array>

#include "kernels/check.h"

namespace octet {
namespace {

constexpr const char* kRmsEpsilon = "attention.layer_norm_rms_epsilon";

std::vector<ModuleName> with(std::vector<ModuleName> modules, std::vector<ModuleName> more) {
  modules.insert(modules.end(), more.begin(), more.end());
  return modules;
}

// `heads`: how the rows of q's and k's heads lie.
std::vector<ModuleName> gated_modules(Layout heads) {
  return {
      {"token_embd", "model.embed_tokens"},
      {"blk.*.attn_norm", "input_layernorm"},
      {"blk.*.attn_q", "self_attn.q_proj", heads},
      {"blk.*.attn_k", "self_attn.k_proj", heads},
      {"blk.*.attn_v", "self_attn.v_proj"},
      {"blk.*.attn_output", "self_attn.o_proj"},
      {"blk.*.ffn_norm", "post_attention_layernorm"},
      {"blk.*.ffn_gate", "mlp.gate_proj"},
      {"blk.*.ffn_up", "mlp.up_proj"},
      {"blk.*.ffn_down", "mlp.down_proj"},
      {"output_norm", "model.norm"},
      {"output", "lm_head"},
  };
}

std::vector<ModuleName> llama_modules(const ModelArgs&) {
  return gated_modules(Layout::kInterleavedHeads);
}

std::vector<ModuleName> qwen2_modules(const ModelArgs&) { return gated_modules(Layout::kPlain); }

std::vector<ModuleName> qwen3_modules(const ModelArgs&) {
  return with(gated_modules(Layout::kPlain), {{"blk.*.attn_q_norm", "self_attn.q_norm"},
                                              {"blk.*.attn_k_norm", "self_attn.k_norm"}});
}

// Without the norms of a block. The converter has put all of q's rows before k's and v's.
std::vector<ModuleName> fused_modules() {
  return {
      {"token_embd", "model.embed_tokens"},
      {"blk.*.attn_qkv", "self_attn.q_proj", Layout::kStacked},
      {"blk.*.attn_qkv", "self_attn.k_proj", Layout::kStacked},
      {"blk.*.attn_qkv", "self_attn.v_proj", Layout::kStacked},
      {"blk.*.attn_output", "self_attn.o_proj"},
      {"blk.*.ffn_up", "mlp.up_proj"},
      {"blk.*.ffn_down", "mlp.down_proj"},
      {"output_norm", "model.norm"},
      {"output", "lm_head"},
  };
}

std::vector<ModuleName> gpt_neox_modules(const ModelArgs&) {
  return with(fused_modules(), {{"blk.*.attn_norm", "input_layernorm"},
                                {"blk.*.ffn_norm", "post_attention_layernorm"}});
}

std::vector<ModuleName> gpt2_modules(const ModelArgs& args) {
  return with(gpt_neox_modules(args), {{"position_embd", "model.embed_positions"}});
}

std::vector<ModuleName> bloom_modules(const ModelArgs& args) {
  return with(gpt_neox_modules(args), {{"token_embd_norm", "model.embed_norm"}});
}

// Of two norms, attn_norm is the MLP's.
std::vector<ModuleName> falcon_modules(const ModelArgs& args) {
  if (args.norms_per_block == 1) {
    return with(fused_modules(), {{"blk.*.attn_norm", "input_layernorm"}});
  }
  return with(fused_modules(), {{"blk.*.attn_norm", "post_attention_layernorm"},
                                {"blk.*.attn_norm_2", "input_layernorm"}});
}

const std::array kArchitectures = {
    GgufArchitecture{
        .name = "bloom",
        .model_type = "bloom",
        .windowed_model_type = "",
        .constants = R"({"architectures": ["BloomForCausalLM"]})",
        .rotation = GgufRotation::kNone,
        .keys = {.intermediate_size = "n_inner",
                 .num_hidden_layers = "n_layer",
                 .num_attention_heads = "n_head",
                 .max_position_embeddings = "seq_length"},
        .modules = bloom_modules,
    },
    GgufArchitecture{
        .name = "falcon",
        .model_type = "falcon",
        .windowed_model_type = "",
        .constants = R"({"architectures": ["FalconForCausalLM"], "activation": "gelu",
                         "new_decoder_architecture": true, "parallel_attn": true,
                         "alibi": false, "bias": false})",
        .num_key_value_heads = "num_kv_heads",
        .keys = {.intermediate_size = "ffn_hidden_size"},
        .modules = falcon_modules,
    },
    GgufArchitecture{
        .name = "gpt2",
        .model_type = "gpt2",
        .windowed_model_type = "",
        .constants = R"({"architectures": ["GPT2LMHeadModel"],
                         "activation_function": "gelu_new"})",
        .rotation = GgufRotation::kNone,
        .keys = {.hidden_size = "n_embd",
                 .intermediate_size = "n_inner",
                 .num_hidden_layers = "n_layer",
                 .num_attention_heads = "n_head",
                 .max_position_embeddings = "n_positions"},
        .modules = gpt2_modules,
    },
    GgufArchitecture{
        .name = "gptneox",
        .model_type = "gpt_neox",
        .windowed_model_type = "",
        .constants = R"({"architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu"})",
        .rotation = GgufRotation::kShare,
        .keys = {.norm_eps = "layer_norm_eps"},
        .modules = gpt_neox_modules,
    },
    GgufArchitecture{
        .name = "llama",
        .model_type = "llama",
        .windowed_model_type = "mistral",
        .constants = R"({"architectures": ["LlamaForCausalLM"], "hidden_act": "silu"})",
        .norm_eps = kRmsEpsilon,
        .keys = {.norm_eps = "rms_norm_eps"},
        .modules = llama_modules,
    },
    GgufArchitecture{
        .name = "qwen2",
        .model_type = "qwen2",
        .windowed_model_type = "",
        .constants = R"({"architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu"})",
        .norm_eps = kRmsEpsilon,
        .keys = {.norm_eps = "rms_norm_eps"},
        .modules = qwen2_modules,
    },
    GgufArchitecture{
        .name = "qwen3",
        .model_type = "qwen3",
        .windowed_model_type = "",
        .constants = R"({"architectures": ["Qwen3ForCausalLM"], "hidden_act": "silu"})",
        .norm_eps = kRmsEpsilon,
        .keys = {.norm_eps = "rms_norm_eps"},
        .modules = qwen3_modules,
    },
};

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
  for (const GgufArchitecture& architecture : kArchitectures) {
    if (architecture.name == name) return &architecture;
  }
  return nullptr;
}

std::vector<std::string_view> known_gguf_architectures() {
  std::vector<std::string_view> names;
  for (const GgufArchitecture& architecture : kArchitectures) names.push_back(architecture.name);
  return names;
}

std::vector<ModuleName> gguf_modules(const ModelArgs& args) {
  for (const GgufArchitecture& architecture : kArchitectures) {
    if (architecture.model_type == args.model_type ||
        architecture.windowed_model_type == args.model_type) {
      return architecture.modules(args);
    }
  }
  OCTET_CHECK(false, "no GGUF architecture is a {}", args.model_type);
  return {};
}

}  // namespace octet
