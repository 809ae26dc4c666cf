#include "runtime/models/decoder.h"

#include <algorithm>
#include <utility>

#include "runtime/layers/shared_norms.h"
#include "runtime/weights/head_module.h"

namespace octet {
namespace {

template <typename Layer, typename... Arguments>
std::optional<Layer> if_there(const WeightScope& scope, const Arguments&... arguments) {
  if (!scope.has("weight")) return std::nullopt;
  return std::optional<Layer>(std::in_place, scope, arguments...);
}

// Between hidden_size and a narrower embedding; every rank computes all of it.
std::optional<ColumnParallelLinear> projection(const WeightScope& model, std::string_view name,
                                               int64_t out_features, int64_t in_features) {
  if (!(model / name).has("weight")) return std::nullopt;
  return ColumnParallelLinear(model.context(),
                              model.column_parallel({{name, out_features}}, in_features));
}

// A probe wants the residual whole: what the next norm would add is added here, to the same bits.
void show_residual(Step& step, int layer, Stream& stream) {
  if (step.probe == nullptr) return;
  add(step, stream.residual, stream.delta);
  stream.delta = {};
  step.observe(Stage::kResidual, layer, stream.residual);
}

}  // namespace

Decoder::Decoder(const ModelContext& context) : Decoder(WeightScope(context)) {}

Decoder::Decoder(const WeightScope& root)
    : args_(root.context().args),
      head_(root, head_module(root.context().checkpoint, args_), args_.vocab_size,
            args_.embedding_size()),
      embedding_(head_module(root.context().checkpoint, args_) == kEmbedTokens
                     ? VocabParallelEmbedding(head_, root.context().size)
                     : VocabParallelEmbedding(root / kEmbedTokens, args_.vocab_size,
                                              args_.embedding_size())),
      project_in_(
          projection(root / "model", "project_in", args_.hidden_size, args_.embedding_size())),
      project_out_(
          projection(root / "model", "project_out", args_.embedding_size(), args_.hidden_size)),
      positions_(if_there<PositionEmbedding>(root / "model" / "embed_positions")),
      embedding_norm_(if_there<Norm>(root / "model" / "embed_norm")),
      norm_(if_there<Norm>(root / "model" / "norm", args_.logit_scale)) {
  const Positions positions = make_positions(root.context());
  const WeightScope layers = root / "model" / "layers";
  for (int i = 0; i < args_.num_hidden_layers; ++i) {
    blocks_.push_back(make_block(layers / i, i, positions));
  }
}

void Decoder::embed(Step& step, Stream& stream) const {
  const size_t mark = step.arena.used();
  if (project_in_) {
    const Tensor narrow =
        step.arena.allocate(DType::kF32, {stream.residual.dim(0), args_.embedding_size()});
    embedding_.forward(step, narrow);
    project_in_->forward(step, narrow, stream.residual);
  } else {
    embedding_.forward(step, stream.residual);
  }
  step.arena.release(mark);
  if (positions_) {
    positions_->forward(step, stream.out);
    stream.delta = {.value = stream.out};
  }
  if (embedding_norm_) {
    embedding_norm_->forward(step, stream.residual, stream.delta, stream.x);
    std::swap(stream.residual, stream.x);
    stream.delta = {};
  }
}

Tensor Decoder::forward(Step& step) const {
  const Shape rows{step.num_tokens(), args_.hidden_size};
  Stream stream{.residual = step.arena.allocate(DType::kF32, rows),
                .x = step.arena.allocate(DType::kF32, rows),
                .out = step.arena.allocate(DType::kF32, rows),
                .delta = {}};
  step.shares_norms =
      norm_ && can_share_norms(step) &&
      std::ranges::all_of(blocks_, [](const auto& block) { return block->shares_norms(); });
  embed(step, stream);
  for (int i = 0; i < args_.num_hidden_layers; ++i) {
    show_residual(step, i, stream);
    blocks_[i]->forward(step, stream);
  }
  show_residual(step, args_.num_hidden_layers, stream);
  if (norm_) {
    norm_->forward(step, stream.residual, stream.delta, stream.x);
    step.observe(Stage::kFinal, args_.num_hidden_layers, stream.x);
  } else {
    add(step, stream.residual, stream.delta);
    stream.x = stream.residual;
  }
  const Tensor sampled =
      step.arena.allocate(DType::kF32, {step.input.num_sampled(), args_.hidden_size});
  if (step.shares_norms) {
    share_sampled_rows(step, stream.x, sampled);
  } else {
    step.backend.gather_rows(stream.x, step.input.sampled_rows, sampled);
  }
  return sampled;
}

std::vector<uint64_t> Decoder::outliers() const {
  std::vector<uint64_t> counts;
  for (const auto& block : blocks_) counts.push_back(block->outliers());
  return counts;
}

Tensor Decoder::logits(Step& step, const Tensor& hidden) const {
  return head_.forward(step, project_out_ ? project_out_->forward(step, hidden) : hidden);
}

}  // namespace octet
