// The two tensor-parallel linear layers. The cut and the collective live in here; a model never
// names a rank.
#pragma once

#include <memory>

#include "comm/reduce_plan.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

// What a block adds to the residual: the value, and a bias that is still to be added once (after
// the reduce). To be added before the next collective.
struct Delta {
  Tensor value;          // [n, hidden] or empty
  Tensor bias;           // [hidden] or empty
  UnfoldedSum unfolded;  // not empty: the value is its sum, and `value` has but the shape
};

// Each rank has some of the outputs; no communication.
class ColumnParallelLinear {
 public:
  ColumnParallelLinear(const ModelContext& context, LinearWeight weight);

  int64_t out_features() const { return packed_->out_features(); }     // of this rank
  Tensor forward(Step& step, const Tensor& x) const;                   // [n, in] -> [n, out]
  void forward(Step& step, const Tensor& x, const Tensor& out) const;  // into the caller's memory
  uint64_t outliers() const { return packed_->outliers(); }            // see PackedLinear
  const PackedLinear& packed() const { return *packed_; }

 private:
  std::unique_ptr<PackedLinear> packed_;
};

// Each rank has some of the inputs; the partial sums meet in one all-reduce, added in the tree's
// order.
class RowParallelLinear {
 public:
  RowParallelLinear(const WeightScope& scope, std::string_view name, int64_t out_features,
                    int64_t in_features);

  // [n, in of this rank] -> [n, out], the same on every rank. `out` is the caller's,
  // [n, out], for a value that is made at once.
  Delta forward(Step& step, const Tensor& x, const Tensor& out) const;
  uint64_t outliers() const { return packed_->outliers(); }

 private:
  std::unique_ptr<PackedLinear> packed_;
  ReducePlan plan_;
  Tensor bias_;
};

// Sums over ranks what each holds of `out`; adds the time to the step's reduce_seconds. roots:
// [roots of this rank, n, h].
void reduce(Step& step, const ReducePlan& plan, const Tensor& roots, const Tensor& out);

// The same for a norm, which makes the sum as it reads it; see Communicator::all_reduce_unfolded.
UnfoldedSum reduce_unfolded(Step& step, const ReducePlan& plan, const Tensor& roots,
                            const Tensor& out);

// Memory for this rank's roots, from where reduce() needs no copy: [roots, n, h].
Tensor reduce_buffer(Step& step, int64_t roots, int64_t n, int64_t h);

}  // namespace octet
