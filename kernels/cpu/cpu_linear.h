// CpuLinear: a linear layer's weights in blocks of kBlock outputs, in its own memory or where they
// lie in a file, and the product over them.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/linear_layout.h"
#include "kernels/cpu/quantized_rows.h"
#include "kernels/cpu/thread_pool.h"

namespace octet::cpu {

class CpuLinear;
class Int8Sketch;

// Room for the inputs of one product at a time; taken in reserve() only.
struct LinearScratch {
  explicit LinearScratch(const DigitsRoom& room)
      : rows(room), scans(static_cast<size_t>(room.max_rows)) {}
  static size_t bytes(const DigitsRoom& room) {
    return QuantizedRows::bytes(room) + static_cast<size_t>(room.max_rows) * sizeof(SketchScan);
  }

  QuantizedRows rows;
  std::vector<SketchScan> scans;  // [max_rows]
  // The product whose rows were taken before its apply(), or null; and its x.
  const CpuLinear* taken_for = nullptr;
  Tensor taken;
};

FloatFormat format_of(DType dtype);  // REQUIRES: a dtype of FloatFormat

class CpuLinear : public PackedLinear {
 public:
  // Packs with all threads of the pool, as its one caller.
  CpuLinear(const LinearWeight& weight, ThreadPool& pool);
  // Of int8 weights that the caller lays out, in block_memory() and block_scales(). outlier_ratio:
  // in place of kOutlierRatio.
  CpuLinear(const LinearShape& shape, float outlier_ratio);
  ~CpuLinear() override;

  bool quantized() const { return layout_.quantized; }
  bool mixed() const { return layout_.mixed; }
  uint64_t outliers() const override { return outliers_; }

  // A row of the weights as they were, in fp32. REQUIRES: float weights.
  void unpack_row(int64_t row, float* out) const;  // [in_features]

  FloatFormat format() const { return format_of(dtype_); }
  const uint8_t* block(int64_t i) const { return blocks_[i]; }
  uint8_t* block_memory(int64_t i) {
    return packed_.data<uint8_t>() + i * layout_.blocks.block_bytes();
  }
  float* block_scales(int64_t i) { return scales_.data<float>() + i * kBlock; }

  // What apply() does first, before it: start_rows(), then each row of its x once, different ones
  // by any threads at once. x: [n, in], the values may come later. REQUIRES: quantized(); the next
  // apply() is this product's, of x.
  void start_rows(LinearScratch& scratch, const Tensor& x) const;
  void take_row(const KernelTable& kernels, LinearScratch& scratch, int64_t row,
                const float* x) const;  // [in]
  // Backend::copy_ready_rows(), of a row.
  size_t ready_row_bytes() const;
  void copy_ready_row(const LinearScratch& scratch, const Tensor& x, int64_t row,
                      std::byte* to) const;
  void take_ready_row(LinearScratch& scratch, const Tensor& x, int64_t row,
                      const std::byte* from) const;
  void apply(const KernelTable& kernels, ThreadPool& pool, LinearScratch& scratch, const Tensor& x,
             const Tensor& out) const;
  // Backend::linear_top(): by way of the sketch, where there is one.
  void apply_top(const KernelTable& kernels, ThreadPool& pool, LinearScratch& scratch,
                 const Tensor& x, const Tensor& out) const;
  // One row's outputs of up to kMaxBlocks blocks, wherever they lie. x: [in]; out: [out]. REQUIRES:
  // float weights, one shard, no bias, no activation.
  void apply_blocks(const KernelTable& kernels, const float* x, std::span<const int64_t> blocks,
                    float* out) const;

 private:
  using Shard = WeightBlocks::Shard;
  struct Root {
    int first_leaf;            // of this rank's
    std::vector<int> waiting;  // [leaves] LeafPlace::waiting
  };

  struct TileRoom;
  // Rows of the input times blocks of the weights, and what is fetched meanwhile.
  struct Place {
    int64_t row;
    int rows;
    int64_t block;
    int blocks;
    int64_t next;  // bytes to the column that is multiplied next, or 0
    WeightFetch fetch;
  };

  const std::vector<Shard>& shards() const { return layout_.blocks.shards(); }
  bool gated() const { return activation_ == Activation::kSiluGate; }
  Tensor pack_vector(const Tensor& vector) const;  // [rows] -> [padded rows]
  void take_memory();
  void pack(const LinearWeight& weight, ThreadPool& pool);
  void keep(const BlockedWeight& weight);
  int64_t source_row(int64_t packed_row) const;  // -1: padding
  int64_t column_bytes() const { return kMaxBlocks * layout_.blocks.block_bytes(); }
  // Of a product of so many rows.
  int64_t band_rows(const KernelTable& kernels, int64_t rows) const;
  void take_slice(const KernelTable& kernels, LinearScratch& scratch, int64_t row, int64_t shard,
                  const float* x) const;
  // One after the other, in one `room`, whose pending work is done last.
  void tile(const KernelTable& kernels, const LinearScratch& scratch, const Tensor& x,
            const Place& place, bool past_caches, TileRoom& room, const Tensor& out) const;
  void float_leaf(const KernelTable& kernels, const Tensor& x, const Place& place, int shard,
                  const LeafPlace& leaf) const;

  DType dtype_;
  float outlier_threshold_, outlier_ratio_ = kOutlierRatio;
  Activation activation_;
  int64_t rows_ = 0;  // of the weight
  LinearLayout layout_;
  mutable std::atomic<uint64_t> outliers_ = 0;
  std::vector<Root> roots_;
  std::vector<const uint8_t*> blocks_;  // where each lies: in packed_, or in files_
  Tensor packed_;                       // [blocks][block_bytes]
  std::vector<std::shared_ptr<const std::byte>> files_;
  Tensor scales_;                       // [padded rows]; int8
  Tensor bias_;                         // [padded rows] or empty
  std::unique_ptr<Int8Sketch> sketch_;  // or null
};

}  // namespace octet::cpu
