// CpuLinear: a linear layer's weights in blocks of kBlock outputs, shards behind each other, and
// the product over them.
#pragma once

#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"

namespace octet::cpu {

// Room for the quantised rows of one product; grows in reserve() only.
struct LinearScratch {
  int64_t max_rows = 0;
  Tensor values;  // [max_rows, widest padded in] kI8
  Tensor scales;  // [max_rows, most shards]
  Tensor sums;    // [max_rows, most shards] kI32: of the int8 values
};

class CpuLinear : public PackedLinear {
 public:
  explicit CpuLinear(const LinearWeight& weight);

  int64_t padded_in() const { return padded_in_; }
  int num_shards() const { return static_cast<int>(shards_.size()); }
  bool quantized() const { return dtype_ == DType::kI8; }

  void apply(const KernelTable& kernels, ThreadPool& pool, const LinearScratch& scratch,
             const Tensor& x, const Tensor& out) const;

 private:
  struct Shard {
    int64_t begin, end;  // columns of the input
    int64_t place;       // of its first value in a block's row of padded_in_
    int64_t padded;      // a multiple of kGroup for int8
  };
  struct Root {
    int first_leaf;  // of this rank's
    int num_leaves;
    std::vector<TreeAdd> adds;  // over its leaves
  };

  void pack_int8(const LinearWeight& weight);
  void pack_float(const LinearWeight& weight);
  int64_t source_row(int64_t packed_row) const;  // -1: padding
  void quantize_rows(const KernelTable& kernels, ThreadPool& pool, const LinearScratch& scratch,
                     const Tensor& x) const;
  void tile(const KernelTable& kernels, const LinearScratch& scratch, const Tensor& x, int64_t row,
            int rows, int64_t block, int blocks, const Tensor& out) const;
  void leaves(const KernelTable& kernels, const LinearScratch& scratch, const Tensor& x,
              int64_t row, int rows, int64_t block, int blocks, const Root& root,
              float* slots) const;
  void finish(const KernelTable& kernels, float* sums, int rows, int64_t row, int64_t block,
              int blocks, float* out) const;

  DType dtype_;
  Activation activation_;
  int64_t rows_ = 0;  // of the weight; padded to padded_rows_
  int64_t padded_rows_ = 0;
  int64_t padded_in_ = 0;
  std::vector<Shard> shards_;
  std::vector<Root> roots_;
  Tensor packed_;  // [blocks][padded_in][kBlock] elements; int8: [blocks][padded_in /
                   // kGroup][kBlock][kGroup] kU8
  Tensor scales_;  // [padded_rows]; int8
  Tensor bias_;    // [padded_rows] or empty
};

}  // namespace octet::cpu
