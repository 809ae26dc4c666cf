#include "runtime/weights/partition.h"

#include <algorithm>
#include <array>

#include "kernels/check.h"
#include "runtime/weights/module_names.h"

namespace octet {
namespace {

constexpr TensorRule kRules[] = {
    {"model.embed_tokens.weight", Role::kVocab},
    {"model.embed_positions.weight", Role::kReplicated},
    {"model.embed_norm.weight", Role::kReplicated},
    {"model.project_in.weight", Role::kReplicated},
    {"model.project_out.weight", Role::kReplicated},
    {"model.norm.weight", Role::kReplicated},
    {"lm_head.weight", Role::kVocab, Quantize::kHead},
    {"input_layernorm.weight", Role::kReplicated},
    {"post_attention_layernorm.weight", Role::kReplicated},
    {"self_attn.q_norm.weight", Role::kReplicated},
    {"self_attn.k_norm.weight", Role::kReplicated},
    {"self_attn.q_proj.weight", Role::kQueryHeads, Quantize::kAlways},
    {"self_attn.k_proj.weight", Role::kKvHeads, Quantize::kAlways},
    {"self_attn.v_proj.weight", Role::kKvHeads, Quantize::kAlways},
    {"self_attn.o_proj.weight", Role::kHeadInput, Quantize::kAlways},
    {"mlp.gate_proj.weight", Role::kMlpOut, Quantize::kAlways},
    {"mlp.up_proj.weight", Role::kMlpOut, Quantize::kAlways},
    {"mlp.down_proj.weight", Role::kMlpIn, Quantize::kAlways},
};

// What a scale or a bias is, by the role of its weight.
constexpr std::array kFollowers = {
    TensorRule{"", Role::kReplicated}, TensorRule{"", Role::kVocab},
    TensorRule{"", Role::kQueryHeads}, TensorRule{"", Role::kKvHeads},
    TensorRule{"", Role::kReplicated}, TensorRule{"", Role::kMlpOut},
    TensorRule{"", Role::kReplicated},
};

bool remove_suffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

}  // namespace

LayerName split_layer(std::string_view tensor) {
  constexpr std::string_view kPrefix = "model.layers.";
  const size_t dot = tensor.find('.', std::min(tensor.size(), kPrefix.size()));
  if (dot != std::string_view::npos) {
    const auto layer = match_layer("model.layers.*", tensor.substr(0, dot));
    if (layer) return {.layer = *layer, .name = tensor.substr(dot + 1)};
  }
  return {.layer = -1, .name = tensor};
}

Partition::Partition(const ModelArgs& args, int num_shards) : args_(args), num_shards_(num_shards) {
  OCTET_CHECK(num_shards >= 1, "num_shards {}", num_shards);
  mlp_shards_ = std::min(num_shards, args.intermediate_size);
  attention_shards_ = std::min(num_shards, args.num_attention_heads);
}

int Partition::attention_cut(int i) const {
  OCTET_CHECK(0 <= i && i <= attention_shards_, "cut {} of {} shards", i, attention_shards_);
  const int groups = args_.num_key_value_heads;
  if (groups < attention_shards_) {
    return static_cast<int>(balanced_cut(args_.num_attention_heads, attention_shards_, i));
  }
  return static_cast<int>(balanced_cut(groups, attention_shards_, i)) *
         (args_.num_attention_heads / groups);
}

HeadRange Partition::heads(int rank, int size) const {
  const ShardRange run = rank_shards(attention_shards_, rank, size);
  HeadRange range;
  range.group = args_.num_attention_heads / args_.num_key_value_heads;
  range.q_begin = attention_cut(run.begin);
  range.q_end = attention_cut(run.end);
  range.kv_begin = range.q_begin / range.group;
  range.kv_end = run.size() == 0 ? range.kv_begin : (range.q_end + range.group - 1) / range.group;
  return range;
}

const TensorRule* Partition::find(std::string_view tensor) const {
  std::string_view name = split_layer(tensor).name;
  const auto rule_of = [&](std::string_view wanted) {
    const auto found = std::ranges::find(kRules, wanted, &TensorRule::name);
    return found == std::end(kRules) ? nullptr : &*found;
  };
  if (const TensorRule* rule = rule_of(name)) return rule;
  if (!remove_suffix(name, ".weight_scale") && !remove_suffix(name, ".bias")) return nullptr;
  const TensorRule* weight = rule_of(std::string(name) + ".weight");
  return weight == nullptr ? nullptr : &kFollowers[static_cast<size_t>(weight->role)];
}

int Partition::axis(Role role) const {
  return role == Role::kHeadInput || role == Role::kMlpIn ? 1 : 0;
}

int64_t Partition::extent(Role role) const {
  switch (role) {
    case Role::kReplicated:
      return 0;
    case Role::kVocab:
      return args_.vocab_size;
    case Role::kQueryHeads:
    case Role::kHeadInput:
      return int64_t{args_.num_attention_heads} * args_.head_dim;
    case Role::kKvHeads:
      return int64_t{args_.num_key_value_heads} * args_.head_dim;
    case Role::kMlpOut:
    case Role::kMlpIn:
      return args_.intermediate_size;
  }
  return 0;
}

std::vector<int64_t> Partition::cuts(Role role, int64_t extent) const {
  OCTET_CHECK(role == Role::kReplicated || extent == this->extent(role),
              "role {} has the extent {}, not {}", static_cast<int>(role), this->extent(role),
              extent);
  std::vector<int64_t> cuts;
  const auto balanced = [&](int64_t parts) {
    for (int64_t i = 0; i <= parts; ++i) cuts.push_back(balanced_cut(extent, parts, i));
  };
  switch (role) {
    case Role::kReplicated:
      cuts = {0, extent};
      break;
    case Role::kVocab:
      balanced(std::min<int64_t>(kVocabParts, extent));
      break;
    case Role::kQueryHeads:
    case Role::kHeadInput:
      for (int i = 0; i <= attention_shards_; ++i) {
        cuts.push_back(int64_t{attention_cut(i)} * args_.head_dim);
      }
      break;
    case Role::kKvHeads:
      balanced(args_.num_key_value_heads);
      break;
    case Role::kMlpOut:
    case Role::kMlpIn:
      balanced(mlp_shards_);
      break;
  }
  return cuts;
}

TensorSlice Partition::slice(Role role, int64_t extent, int rank, int size) const {
  const std::vector<int64_t> all = cuts(role, extent);
  const int parts = static_cast<int>(all.size()) - 1;
  ShardRange run{0, parts};
  if (role == Role::kKvHeads) {
    const HeadRange range = heads(rank, size);
    run = {range.kv_begin, range.kv_end};
  } else if (role != Role::kReplicated) {
    run = rank_shards(parts, rank, size);
  }
  return {.axis = axis(role),
          .begin = all[static_cast<size_t>(run.begin)],
          .end = all[static_cast<size_t>(run.end)],
          .part_begin = run.begin,
          .part_end = run.end};
}

}  // namespace octet
