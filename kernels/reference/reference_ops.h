// The reference operations; each does what its comment in kernels/backend.h says, and nothing else.
#pragma once

#include <vector>

#include "kernels/backend.h"

namespace octet::reference {

void store(const Tensor& tensor, int64_t i, float value);  // rounded to a kF32 or kBF16 tensor

class Linear : public PackedLinear {
 public:
  explicit Linear(const LinearWeight& weight);

  void apply(const Tensor& x, const Tensor& out) const;  // [n, in] -> [num_roots, n, out]
  const Tensor& weight() const { return weight_; }       // [out, in]
  uint64_t outliers() const override { return outliers_; }

 private:
  // The leaf of the shard [begin, end) for output row `o`.
  float leaf(const float* x, int64_t o, int64_t begin, int64_t end) const;
  float int8_leaf(const float* x, int64_t o, int64_t begin, int64_t end) const;
  float activated(const float* row, int64_t o) const;  // row: [weight rows]

  Tensor weight_, scales_, bias_;
  Int8Product product_;
  float outlier_threshold_;
  Activation activation_;
  int num_shards_;
  mutable uint64_t outliers_ = 0;
  ShardRange shards_;
  std::vector<int64_t> cuts_;
  std::vector<ShardRange> roots_;
};

void embed(const Tensor& ids, const Tensor& table, int32_t first_id, const Tensor& out);
void add_norm(const AddNormArgs& args);
void rope_store(const RopeStoreArgs& args);
void attention(const AttentionArgs& args);
void shortlist(const ShortlistArgs& args);

}  // namespace octet::reference
