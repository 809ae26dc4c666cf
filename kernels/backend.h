// Backend: THE device seam. This file is its specification: a new device copies kernels/reference/
// (plain loops, the oracle), fills it in, adds one row to backend_factory.cc, and is done when
// the contract suite (tests/kernels/backend_*_test.cc) passes for it.
//
// A Backend is one device: its memory, its order of execution, and a dozen fused operations.
// Tensors handed to an operation are this backend's (allocate()), unless a comment says host.
// Operations may return before the device has finished; they run in the order called, and
// synchronize() waits. No operation allocates, waits for the device or takes a lock that another
// step could hold.
//
// Threads: one thread drives a Backend. A Backend may run its own threads inside an operation.
// Errors: a violated REQUIRES is a bug (OCTET_CHECK). A lost device throws std::runtime_error.
//
// Exactness, required of every operation: a row's bits do not depend on the other rows of the call,
// on how many there are, or on the kernel chosen for them (docs/architecture.md, contract 1). Float
// sums have one order per backend and instruction set.
//
// Letters in shapes: n rows (tokens) of this call; h hidden_size; d head_dim; "f32" unless said
// otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "kernels/reduction_tree.h"
#include "kernels/shortlist.h"
#include "kernels/tensor.h"
#include "kernels/weight_blocks.h"

namespace octet {

enum class NormKind { kRms, kLayer };
enum class RopeStyle {
  kNone,
  kHalf,
  kInterleaved
};  // pairs (i, i + rotary/2) | pairs (2i, 2i + 1)

// How an int8 weight meets its input. Each shard of each row stands alone.
enum class Int8Product {
  kW8A8,     // the input in int8, scaled by its absmax / 127
  kLlmInt8,  // the same, but outliers do not set the scale; they are multiplied in two int8 digits
  kW8A16,    // the input as it is
};
// An outlier's size: that of Dettmers et al. 2022, section 3.2, or so many times the mean
// magnitude of its slice where that is less, so that the slice's steps are at most a 127th of that
// unless its largest outlier needs more.
inline constexpr float kOutlierThreshold = 6.0f;
inline constexpr float kOutlierRatio = 8.0f;
inline constexpr int kMagnitudeChains = 256;  // of a slice's sum of magnitudes
// Widest shard of an int8 weight: a product of a signed and an unsigned byte row of that width is
// less than 2^31.
inline constexpr int64_t kMaxInt8Columns = 65'536;
// Rows, keys and values whose magnitudes are all below are rounded to zeros: 127 / magnitude would
// not be a number.
inline constexpr float kLeastAbsmax = 4e-37f;
// Slices whose magnitudes are all below have no outliers: the inverse of their scale would not be a
// number.
inline constexpr float kLeastOutlier = 1e-33f;
inline constexpr int kHighDigit = 254;  // value = scale * (254 * high + low)

// A weight that lies in a file in blocks, its rows in runs.
struct BlockedWeight {
  DType dtype = DType::kI8;
  int64_t columns = 0;
  std::vector<BlockRows> runs;  // every run but the last is whole blocks; for kSiluGate there are
                                // two as long as each other, or none
};

// A linear layer's weights as they were read: host memory, needed only during pack(). Several
// layers with one input are one product: their rows are stacked (q, k, v; gate, up).
struct LinearWeight {
  Tensor weight;          // [out, in] kI8, kF32, kBF16 or kF16
  BlockedWeight blocked;  // in place of `weight`, which is then empty; kept, not copied. REQUIRES:
                          // maps_files(), not kW8A16
  Tensor scales;          // [out] weight row o is weight[o, :] * scales[o]; kI8 only, else empty
  Tensor bias;  // [out] or empty; REQUIRES empty where the result is a partial sum (shards not the
                // whole tree)
  Int8Product product = Int8Product::kW8A8;     // kI8 only
  float outlier_threshold = kOutlierThreshold;  // kLlmInt8 only
  // kSiluGate: rows [0, out/2) are the gate, [out/2, out) the up projection; the result is
  // silu(gate) * up, [n, out/2]. The others act on each element.
  Activation activation = Activation::kNone;
  // Row-parallel: which leaves of the tree over num_shards the columns are; shard i of `shards` is
  // columns [cuts[i], cuts[i + 1]), cuts has shards.size() + 1 entries from 0 to in, and may repeat
  // (an empty shard adds +0). REQUIRES: no kI8 shard wider than kMaxInt8Columns. Not row-parallel:
  // the defaults, meaning one shard, cuts {0, in}.
  int num_shards = 1;
  ShardRange shards{0, 1};
  std::vector<int64_t> cuts;
  // linear_top() will be asked of it: what makes that faster may be kept beside it.
  bool top = false;
};

// Weights in the device's own layout, made by Backend::pack.
class PackedLinear {
 public:
  virtual ~PackedLinear() = default;
  int64_t in_features() const { return in_features_; }
  int64_t out_features() const {
    return out_features_;
  }                                             // after the activation: half the rows for kSiluGate
  int num_roots() const { return num_roots_; }  // subtree_roots(num_shards, shards).size()
  size_t bytes() const { return bytes_; }       // device memory held
  // Outliers so far among the inputs; kLlmInt8.
  virtual uint64_t outliers() const { return 0; }

 protected:
  int64_t in_features_ = 0;
  int64_t out_features_ = 0;
  int num_roots_ = 1;
  size_t bytes_ = 0;
};

struct RowRange {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

// residual += delta + delta_bias; out = norm(residual) * weight + bias.
struct AddNormArgs {
  Tensor residual;       // [n, h] in and out
  Tensor delta;          // [n, h] or empty
  UnfoldedSum unfolded;  // not empty: what delta [n, h] is the sum of; its own elements are then
                         // not read and may change. REQUIRES: queue().device < 0
  Tensor delta_bias;     // [h] or empty
  Tensor weight;         // [h]
  Tensor bias;           // [h] or empty
  float eps = 1e-5f;
  NormKind kind = NormKind::kRms;
  Tensor out;  // [n, h]; empty: only the residual is updated
  // A hint, or null. REQUIRES: linear(out, *next) is the next product, and nothing else reads
  // `out`; its elements may then be missing.
  const PackedLinear* next = nullptr;
  // Of these rows alone; the others stay as they are. REQUIRES: all rows, or has_ready_rows().
  std::optional<RowRange> rows;
};

// Which heads a rank has: query heads [q_begin, q_end) of the model, KV heads [kv_begin, kv_end).
// Query head i reads KV head i / group. Locally both are counted from their begin.
struct HeadRange {
  int q_begin = 0, q_end = 0;
  int kv_begin = 0, kv_end = 0;
  int group = 1;
  int num_q() const { return q_end - q_begin; }
  int num_kv() const { return kv_end - kv_begin; }
};

// One layer of the paged KV cache. Slot s is row s % block_size of block s / block_size. Where an
// element lies within a block of a head is the back end's own affair: only rope_store and attention
// see it.
struct KVCacheView {
  Tensor k;  // [num_blocks, num_kv, block_size, d] kF32, kBF16 or kI8
  Tensor v;  // [num_blocks, num_kv, block_size, d] as k
  // kI8 only. The d elements x of a key or value are kept as q = round(x * (127 / absmax)), ties to
  // even, and the scale absmax / 127; they are read as q * scale. Where their magnitudes have no
  // finite sum the scale is NaN, and so is what a row that sees them makes of them, unless its
  // weight for them is 0.
  Tensor k_scales;  // [num_blocks, num_kv, block_size]
  Tensor v_scales;  // [num_blocks, num_kv, block_size]
};

// Normalises each q and k head where there are norms for them (RMS over its d elements, times the
// weight), rotates q (in place) and k by their positions, and stores k and v, rounded to the
// cache's type, in their slots.
struct RopeStoreArgs {
  Tensor qkv;     // [n, (num_q + 2 * num_kv) * d]: q heads, k heads, v heads; q in and out
  Tensor q_norm;  // [d] or empty
  Tensor k_norm;  // [d], empty where q_norm is
  float norm_eps = 1e-5f;
  Tensor positions;  // [n] kI32
  Tensor slots;      // [n] kI32
  Tensor cos_sin;  // [max_positions, rotary_dim]: rotary_dim / 2 cosines, then as many sines; empty
                   // for kNone
  RopeStyle style = RopeStyle::kHalf;
  HeadRange heads;
  int head_dim = 0;
  KVCacheView cache;
};

// Causal attention of q over the paged cache, softmax(q k^T * scale + bias) v. Sequence s has the
// query rows [cu_seqlens[s], cu_seqlens[s + 1]), the last of its context_lens[s] positions; K and V
// are read as the cache stores them (rounded); q and the softmax weights may be rounded to 2^-16. A
// back end splits the sequence at fixed positions and merges the splits left to right.
struct AttentionArgs {
  Tensor qkv;           // [n, (num_q + 2 * num_kv) * d]: only the q heads are read
  Tensor cu_seqlens;    // [num_seqs + 1] kI32
  Tensor context_lens;  // [num_seqs] kI32: tokens in the cache, this step's included
  Tensor block_tables;  // [num_seqs, max_blocks] kI32
  HeadRange heads;
  int head_dim = 0;
  float scale = 1.0f;      // positive
  int sliding_window = 0;  // 0: none; else position p sees (p - sliding_window, p]
  Tensor alibi_slopes;     // [num_q] or empty; adds slope * (key position - query position)
  KVCacheView cache;
  Tensor out;  // [n, num_q * d]
};

struct ShortlistArgs {
  Tensor logits;                // [m, vocab_size]
  Tensor inverse_temperatures;  // [m] finite; 0: a greedy row
  Tensor scored_tokens;         // [m] kI32; -1: none
  Tensor out;                   // [m, sizeof(Shortlist)] kU8
};

struct LinearShape;  // kernels/linear_shape.h

// Where a device's operations are queued, for those who queue their own among them (comm/).
struct DeviceQueue {
  int device = -1;  // less than 0: no queue; memory is the host's, operations end in the call
  void* stream = nullptr;  // the device's own kind: a cudaStream_t
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string name() const = 0;  // "cpu avx512-vnni, 2 threads"
  virtual DeviceQueue queue() const { return {}; }

  // Memory. allocate: zeroed, 64-byte aligned, freed with the Tensor. Copies: same number of bytes
  // on both sides.
  virtual Tensor allocate(DType dtype, Shape shape) = 0;
  virtual void upload(const Tensor& host,
                      const Tensor& device) = 0;  // returns when `host` may be reused
  virtual void download(const Tensor& device,
                        const Tensor& host) = 0;  // returns when `host` is filled
  virtual void synchronize() = 0;

  // Runs `operations`, or queues again what they queued when they ran with the same key before.
  // REQUIRES: they call nothing but operations below (and a device communicator's), always the same
  // for one key, on the same memory.
  virtual void replay(uint64_t key, const std::function<void()>& operations) {
    static_cast<void>(key);
    operations();
  }

  // Weights. pack: copies, but for what is in blocks. reserve: takes all scratch that operations on
  // up to max_rows rows with the weights packed so far need, and returns its bytes. REQUIRES:
  // reserve before the first linear, and the first add_norm with `next`; no pack after it.
  virtual std::unique_ptr<PackedLinear> pack(const LinearWeight& weight) = 0;
  virtual size_t reserve(int64_t max_rows) = 0;
  // Is this device's memory the host's, so that a BlockedWeight, or a table for embed(), may be a
  // mapped file's?
  virtual bool maps_files() const { return false; }

  // Bytes that may still be taken of the device's memory; as written here: not known, no limit.
  virtual size_t available_bytes() const { return SIZE_MAX; }

  // What memory will take, before any is taken; any thread. allocated_bytes: all that allocate() of
  // a tensor of so many bytes holds. packed_bytes: bytes() of such a weight packed. scratch_bytes:
  // what reserve() returns after these were packed. As written here for a device that lays weights
  // out as they come and needs no scratch.
  virtual size_t allocated_bytes(size_t bytes) const { return bytes; }
  virtual size_t packed_bytes(const LinearShape& weight) const;
  virtual size_t scratch_bytes(std::span<const LinearShape> weights, int64_t max_rows) const;

  // out[i] = table[ids[i] - first_id], or +0 where ids[i] is outside the table's rows (another rank
  // has it). +0.0 is added to every element, so that a sum over ranks changes no bit.
  virtual void embed(const Tensor& ids,    // [n] kI32
                     const Tensor& table,  // [rows, h] kF32, kBF16 or kF16
                     int32_t first_id,
                     const Tensor& out) = 0;  // [n, h]

  // The same from the weights of a linear layer, for a head tied to its embedding. REQUIRES: packed
  // from kF32, kBF16 or kF16, one shard.
  virtual void embed(const Tensor& ids,  // [n] kI32
                     const PackedLinear& table, int32_t first_id,
                     const Tensor& out) = 0;  // [n, h]

  virtual void add_norm(const AddNormArgs& args) = 0;

  // Several back ends of one kind may each make some of the same rows ready for a product, and pass
  // them on: add_norm() with `next` and `rows`, copy_ready_rows() of these, and take_ready_rows()
  // of all others before linear(x, next). A row is ready_row_bytes() of host memory. REQUIRES:
  // has_ready_rows(); x is what add_norm() made last, for `next`, a product of one shard; the
  // products' inputs are the same.
  virtual bool has_ready_rows() const { return false; }
  virtual size_t ready_row_bytes(const PackedLinear& next) const;
  virtual void copy_ready_rows(const Tensor& x, const PackedLinear& next, RowRange rows,
                               std::byte* to);
  virtual void take_ready_rows(const Tensor& x, const PackedLinear& next, RowRange rows,
                               const std::byte* from);

  // out[r] = root r of the tree over the shards of x * weight^T (+ bias, then activation, when
  // there is one shard tree and this rank has all of it).
  //
  // kW8A8: each shard quantises its slice of each row to int8, symmetric, q = round(x / scale) by
  // scale = absmax / 127; the int32 product is exact; a leaf is float(product) * (scale * weight
  // scale).
  //
  // kLlmInt8 is the same for a slice that is all below kLeastOutlier or has no outliers, |x| >=
  // min(outlier_threshold, kOutlierRatio * (sum of magnitudes / columns)), summed in
  // kMagnitudeChains chains (column modulo their number), which are added as halves. In one with
  // them, scale = max(absmax of the others / 127, absmax / (127 * 254 + 126)), an outlier's q is
  // 254 * high + low (high = round(q / 254), ties to even), the others' q is low, and a leaf is
  // float(low product) * (scale * weight scale) + float(high product) * (254 * (scale * weight
  // scale)).
  //
  // kW8A16: float products of x and the int8 weights; a leaf is sum * weight scale.
  //
  // A slice whose magnitudes have no finite sum gives NaN in its row.
  virtual void linear(const Tensor& x,  // [n, in]
                      const PackedLinear& weight,
                      const Tensor& out) = 0;  // [num_roots, n, out]

  // The same where of each row only the largest element is wanted: elements that are certainly less
  // may be -infinity; those that are not have linear()'s bits. The first call may take as long as
  // pack(), and what a call does may depend on how earlier ones went. REQUIRES: `weight` was packed
  // with `top`; one root.
  virtual void linear_top(const Tensor& x, const PackedLinear& weight, const Tensor& out) {
    linear(x, weight, out);
  }
  virtual bool has_linear_top() const { return false; }  // is it other than linear()?

  virtual void rope_store(const RopeStoreArgs& args) = 0;
  virtual void attention(const AttentionArgs& args) = 0;

  // out[i] = x[rows[i]].
  virtual void gather_rows(const Tensor& x,         // [n, h]
                           const Tensor& rows,      // [m] kI32
                           const Tensor& out) = 0;  // [m, h]

  // out[i] = the Shortlist of logits[i].
  virtual void shortlist(const ShortlistArgs& args) = 0;
};

}  // namespace octet
