// The LLaMA architecture (Touvron et al. 2023): RMSNorm, rotary positions, grouped-query attention,
// SwiGLU, optionally a head tied to the embedding.
#include "runtime/models/llama.h"

#include <vector>

#include "runtime/layers/attention.h"
#include "runtime/layers/embedding.h"
#include "runtime/layers/mlp.h"
#include "runtime/layers/norm.h"
#include "runtime/models/causal_lm.h"

namespace octet {
namespace {

constexpr TensorRule kRules[] = {
    {"model.embed_tokens.weight", Role::kVocab, false},
    {"lm_head.weight", Role::kVocab, false},
    {"model.norm.weight", Role::kReplicated, false},
    {"input_layernorm.weight", Role::kReplicated, false},
    {"post_attention_layernorm.weight", Role::kReplicated, false},
    {"self_attn.q_proj.weight", Role::kQueryHeads, true},
    {"self_attn.k_proj.weight", Role::kKvHeads, true},
    {"self_attn.v_proj.weight", Role::kKvHeads, true},
    {"self_attn.o_proj.weight", Role::kHeadInput, true},
    {"mlp.gate_proj.weight", Role::kMlpOut, true},
    {"mlp.up_proj.weight", Role::kMlpOut, true},
    {"mlp.down_proj.weight", Role::kMlpIn, true},
};

struct Block {
  Block(const WeightScope& scope, RopeStyle style, const Tensor& cos_sin)
      : input_norm(scope / "input_layernorm", NormKind::kRms, args(scope).hidden_size,
                   args(scope).rms_norm_eps),
        attention(scope / "self_attn", style, cos_sin),
        post_norm(scope / "post_attention_layernorm", NormKind::kRms, args(scope).hidden_size,
                  args(scope).rms_norm_eps),
        mlp(scope / "mlp") {}

  static const ModelArgs& args(const WeightScope& scope) { return scope.context().args; }

  Norm input_norm;
  Attention attention;
  Norm post_norm;
  GatedMlp mlp;
};

class Llama : public CausalLM {
 public:
  explicit Llama(const WeightScope& root)
      : args_(root.context().args),
        embedding_(root / "model" / "embed_tokens", args_.vocab_size, args_.hidden_size),
        norm_(root / "model" / "norm", NormKind::kRms, args_.hidden_size, args_.rms_norm_eps),
        head_(args_.tie_word_embeddings ? root / "model" / "embed_tokens" : root / "lm_head",
              args_.vocab_size, args_.hidden_size) {
    const Tensor cos_sin = rope_table(root.context(), args_.head_dim, args_.rope_theta);
    const RopeStyle style = args_.rope_interleaved ? RopeStyle::kInterleaved : RopeStyle::kHalf;
    const WeightScope layers = root / "model" / "layers";
    for (int i = 0; i < args_.num_hidden_layers; ++i) {
      blocks_.emplace_back(layers / i, style, cos_sin);
    }
  }

  Tensor forward(Step& step) const override {
    const Shape rows{step.num_tokens(), args_.hidden_size};
    const Tensor residual = step.arena.allocate(DType::kF32, rows);
    const Tensor x = step.arena.allocate(DType::kF32, rows);
    const Tensor out = step.arena.allocate(DType::kF32, rows);
    embedding_.forward(step, residual);
    Delta delta;
    for (int i = 0; i < args_.num_hidden_layers; ++i) {
      const Block& block = blocks_[i];
      block.input_norm.forward(step, residual, delta, x);
      delta = block.attention.forward(step, i, x, out);
      block.post_norm.forward(step, residual, delta, x);
      delta = block.mlp.forward(step, x, out);
    }
    norm_.forward(step, residual, delta, x);
    const Tensor sampled =
        step.arena.allocate(DType::kF32, {step.input.num_sampled(), args_.hidden_size});
    step.backend.gather_rows(x, step.input.sampled_rows, sampled);
    return sampled;
  }

  Tensor logits(Step& step, const Tensor& hidden) const override {
    return head_.forward(step, hidden);
  }

 private:
  const ModelArgs args_;
  VocabParallelEmbedding embedding_;
  Norm norm_;
  LmHead head_;
  std::vector<Block> blocks_;
};

}  // namespace

std::span<const TensorRule> llama_rules() { return kRules; }

std::unique_ptr<CausalLM> make_llama(const ModelContext& context) {
  return std::make_unique<Llama>(WeightScope(context));
}

}  // namespace octet
