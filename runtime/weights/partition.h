// Partition: how a model's tensors are cut for tensor parallelism. The one place that knows it;
// loader, quantizer, checksums and the ledger all ask here. A value; immutable, any thread.
//
// The cuts do not depend on the number of ranks: they are the reduction shards (and the units of
// the checksums); a rank owns a contiguous run of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"
#include "kernels/reduction_tree.h"
#include "runtime/weights/model_args.h"

namespace octet {

// What a tensor's rows (or columns) are.
enum class Role {
  kReplicated,  // every rank has all of it
  kVocab,       // axis 0: embedding, head
  kQueryHeads,  // axis 0: q_proj, cut where attention's shards are
  kKvHeads,  // axis 0: k_proj, v_proj, cut at KV heads; a head that two ranks need is read by both
  kHeadInput,  // axis 1: o_proj, attention's reduction shards
  kMlpOut,     // axis 0: gate_proj, up_proj
  kMlpIn,      // axis 1: down_proj, the MLP's reduction shards
};

// Is a tensor int8 in an artefact?
enum class Quantize { kNever, kHead, kAlways };  // kHead: where an int8 head was asked for

// What a tensor is, by its name without the layer prefix ("self_attn.q_proj.weight"); the same in
// every family (module_names.h).
struct TensorRule {
  std::string_view name;
  Role role = Role::kReplicated;
  Quantize quantize = Quantize::kNever;

  bool may_be_int8() const { return quantize != Quantize::kNever; }
  bool is_int8(bool int8_head) const {
    return quantize == Quantize::kAlways || (int8_head && quantize == Quantize::kHead);
  }
};

// [begin, end) along `axis`; parts [part_begin, part_end) of the tensor's cuts.
struct TensorSlice {
  int axis = 0;
  int64_t begin = 0, end = 0;
  int part_begin = 0, part_end = 0;
};

// A name's layer and what is left of it: "model.layers.7.mlp.up_proj.weight" is {7,
// "mlp.up_proj.weight"}; layer -1 and the whole name where there is none.
struct LayerName {
  int layer = -1;
  std::string_view name;
};
LayerName split_layer(std::string_view tensor);

class Partition {
 public:
  static constexpr int kDefaultShards = 8;
  static constexpr int kVocabParts = 64;

  explicit Partition(const ModelArgs& args, int num_shards = kDefaultShards);

  const ModelArgs& args() const { return args_; }
  int num_shards() const { return num_shards_; }  // as asked for
  int mlp_shards() const { return mlp_shards_; }  // min(num_shards, intermediate_size)
  int attention_shards() const {
    return attention_shards_;
  }  // min(num_shards, num_attention_heads)

  // Attention shard i is query heads [attention_cut(i), attention_cut(i + 1)): whole KV groups
  // where there are at least num_shards of them, else whole heads.
  int attention_cut(int i) const;
  HeadRange heads(int rank, int size) const;

  // nullptr: no family has such a tensor. A name's layer prefix "model.layers.7." is skipped; a
  // scale
  // ("....weight_scale") or bias has the role of its weight (never quantised), and is kReplicated
  // where the weight's axis is 1.
  const TensorRule* find(std::string_view tensor) const;

  // Where a tensor with `extent` rows (axis 0) or columns (axis 1) is cut: strictly from 0 to
  // extent, axis by role. REQUIRES of cuts() and slice(): extent is extent(role), what the config
  // says; any for kReplicated, whose own is 0.
  int64_t extent(Role role) const;
  int axis(Role role) const;  // 0 or 1; kReplicated: 0
  std::vector<int64_t> cuts(Role role, int64_t extent) const;
  TensorSlice slice(Role role, int64_t extent, int rank, int size) const;

 private:
  ModelArgs args_;
  int num_shards_ = kDefaultShards;
  int mlp_shards_ = 1;
  int attention_shards_ = 1;
};

}  // namespace octet
