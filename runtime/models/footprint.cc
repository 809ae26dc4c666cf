#include "runtime/models/footprint.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "runtime/weights/head_module.h"

namespace octet {
namespace {

class Tally {
 public:
  explicit Tally(const ModelContext& context) : context_(context) {}

  void product(ProductRole role, int layer, LinearShape shape) {
    const size_t elements = static_cast<size_t>(shape.rows * shape.columns);
    const size_t vectors = (shape.has_scales() ? 1 : 0) + (shape.biased ? 1 : 0);
    size_t source = vectors * static_cast<size_t>(shape.rows) * 4;
    if (!shape.in_file) source += elements * dtype_size(shape.dtype);
    if (shape.dtype == DType::kF32 && !context_.int8_product) source += elements;  // as stored
    result.packed += context_.backend.packed_bytes(shape);
    loaded_from(source);
    result.products.push_back({role, layer, std::move(shape)});
  }

  void tensor(DType dtype, int64_t elements) {
    result.tensors +=
        context_.backend.allocated_bytes(static_cast<size_t>(elements) * dtype_size(dtype));
  }

  void vector(const WeightScope& scope, std::string_view name, int64_t extent) {
    if (scope.has(name)) tensor(DType::kF32, extent);
  }

  void norm(const WeightScope& scope) {
    vector(scope, "weight", context_.args.hidden_size);
    vector(scope, "bias", context_.args.hidden_size);
  }

  void table(const WeightScope& scope, int64_t extent, int64_t width) {
    const LinearShape rows = scope.table_shape(extent, width);
    const size_t bytes = static_cast<size_t>(rows.rows * rows.columns) * dtype_size(rows.dtype);
    if (rows.in_file) {
      result.tensors += bytes;
      return;
    }
    tensor(rows.dtype, rows.rows * rows.columns);
    loaded_from(bytes);
  }

  Footprint finish() {
    result.staging = most_ - std::min(most_, result.packed + result.tensors);
    return std::move(result);
  }

  Footprint result;

 private:
  // What was counted last lies there beside the bytes that it was read into.
  void loaded_from(size_t source) {
    most_ = std::max(most_, result.packed + result.tensors + source);
  }

  const ModelContext& context_;
  size_t most_ = 0;  // bytes held at any time while the model is built
};

void count_ends(const WeightScope& root, Tally& tally) {
  const ModelArgs& args = root.context().args;
  const WeightScope model = root / "model";
  const std::string_view head = head_module(root.context().checkpoint, args);
  const int64_t width = args.embedding_size(), hidden = args.hidden_size;
  LinearShape head_shape = root.column_shape({{head, args.vocab_size}}, width);
  head_shape.top = true;
  tally.product(ProductRole::kHead, -1, head_shape);
  if (head != kEmbedTokens) tally.table(root / kEmbedTokens, args.vocab_size, width);
  if ((model / "project_in").has("weight")) {
    tally.product(ProductRole::kProjection, -1,
                  model.column_shape({{"project_in", hidden}}, width));
  }
  if ((model / "project_out").has("weight")) {
    tally.product(ProductRole::kProjection, -1,
                  model.column_shape({{"project_out", width}}, hidden));
  }
  const WeightScope positions = model / "embed_positions";
  if (positions.has("weight")) {
    tally.table(positions, args.max_position_embeddings + args.position_offset, hidden);
  }
  tally.norm(model / "embed_norm");
  tally.norm(model / "norm");
}

void count_positions(const ModelContext& context, Tally& tally) {
  if (context.args.rotary_dim > 0) {
    tally.tensor(DType::kF32, int64_t{context.max_model_len} * context.args.rotary_dim);
  }
  if (context.args.alibi) {
    tally.tensor(DType::kF32, context.partition.heads(context.rank, context.size).num_q());
  }
}

void count_layer(const WeightScope& scope, int layer, Tally& tally) {
  const ModelArgs& args = scope.context().args;
  const int64_t d = args.head_dim, hidden = args.hidden_size, mlp_width = args.intermediate_size;
  const int64_t q = args.num_attention_heads * d, kv = args.num_key_value_heads * d;
  tally.norm(scope / "input_layernorm");
  if (args.norms_per_block == 2) tally.norm(scope / "post_attention_layernorm");
  const WeightScope attention = scope / "self_attn", mlp = scope / "mlp";
  tally.product(ProductRole::kQkv, layer,
                attention.column_shape({{"q_proj", q}, {"k_proj", kv}, {"v_proj", kv}}, hidden));
  tally.product(ProductRole::kAttentionOut, layer, attention.row_shape("o_proj", hidden, q));
  tally.vector(attention, "o_proj.bias", hidden);
  tally.vector(attention, "q_norm.weight", d);
  tally.vector(attention, "k_norm.weight", d);
  LinearShape up =
      args.activation == Activation::kSiluGate
          ? mlp.column_shape({{"gate_proj", mlp_width}, {"up_proj", mlp_width}}, hidden)
          : mlp.column_shape({{"up_proj", mlp_width}}, hidden);
  up.activation = args.activation;
  tally.product(ProductRole::kMlpIn, layer, std::move(up));
  tally.product(ProductRole::kMlpOut, layer, mlp.row_shape("down_proj", hidden, mlp_width));
  tally.vector(mlp, "down_proj.bias", hidden);
}

}  // namespace

std::vector<LinearShape> Footprint::shapes() const {
  std::vector<LinearShape> all;
  for (const Product& product : products) all.push_back(product.shape);
  return all;
}

Footprint footprint(const ModelContext& context) {
  Tally tally(context);
  const WeightScope root(context);
  count_ends(root, tally);
  count_positions(context, tally);
  const WeightScope layers = root / "model" / "layers";
  for (int i = 0; i < context.args.num_hidden_layers; ++i) count_layer(layers / i, i, tally);
  return tally.finish();
}

}  // namespace octet
