// The blocks that decoders are made of. A block takes the stream in, with what the block before it
// left to be added, and leaves its own last addition the same way, so that an add and the next norm
// are one operation.
#pragma once

#include <memory>
#include <optional>

#include "runtime/layers/attention.h"
#include "runtime/layers/mlp.h"
#include "runtime/layers/norm.h"

namespace octet {

// A step's activations between the blocks; [n, hidden] each, in the step's arena.
struct Stream {
  Tensor residual;
  Tensor x;     // the input of a product
  Tensor out;   // its result
  Delta delta;  // still to be added to residual
};

class Block {
 public:
  virtual ~Block() = default;
  virtual void forward(Step& step, Stream& stream) const = 0;
  virtual uint64_t outliers() const = 0;  // among the inputs of its int8 products so far
  // Is each norm read by one product alone, and the residual by norms? See shared_norms.h.
  virtual bool shares_norms() const { return false; }
};

// h = x + attention(norm(x)); h + mlp(norm(h)). Radford et al. 2019.
class PreNormBlock : public Block {
 public:
  PreNormBlock(const WeightScope& scope, int layer, const Positions& positions);
  void forward(Step& step, Stream& stream) const override;
  uint64_t outliers() const override { return attention_.outliers() + mlp_.outliers(); }
  bool shares_norms() const override { return true; }

 private:
  Norm input_norm_, post_norm_;
  Attention attention_;
  Mlp mlp_;
};

// x + attention(norm(x)) + mlp(norm(x)); the second norm is the first where the model has one only.
// Wang and Komatsuzaki 2021; Chowdhery et al. 2022, section 2.
class ParallelBlock : public Block {
 public:
  ParallelBlock(const WeightScope& scope, int layer, const Positions& positions);
  void forward(Step& step, Stream& stream) const override;
  uint64_t outliers() const override { return attention_.outliers() + mlp_.outliers(); }

 private:
  Norm input_norm_;
  std::optional<Norm> mlp_norm_;
  Attention attention_;
  Mlp mlp_;
};

// h = norm(x + attention(x)); norm(h + mlp(h)). Vaswani et al. 2017; OPT-350m.
class PostNormBlock : public Block {
 public:
  PostNormBlock(const WeightScope& scope, int layer, const Positions& positions);
  void forward(Step& step, Stream& stream) const override;
  uint64_t outliers() const override { return attention_.outliers() + mlp_.outliers(); }

 private:
  Norm attention_norm_, mlp_norm_;
  Attention attention_;
  Mlp mlp_;
};

// The block that the model's ModelArgs ask for.
std::unique_ptr<Block> make_block(const WeightScope& scope, int layer, const Positions& positions);

}  // namespace octet
