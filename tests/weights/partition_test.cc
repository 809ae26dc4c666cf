#include "runtime/weights/partition.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/weights/tiny_model.h"

namespace octet {
namespace {

ModelArgs args_with(int heads, int kv_heads, int mlp = 1536) {
  ModelArgs args;
  args.model_type = "llama";
  args.num_attention_heads = heads;
  args.num_key_value_heads = kv_heads;
  args.head_dim = 64;
  args.intermediate_size = mlp;
  args.vocab_size = 1000;
  args.num_hidden_layers = 2;
  return args;
}

constexpr Role kRoles[] = {Role::kReplicated, Role::kVocab,  Role::kQueryHeads, Role::kKvHeads,
                           Role::kHeadInput,  Role::kMlpOut, Role::kMlpIn};

TEST(Partition, Cuts_RiseFrom0ToTheExtent) {
  for (const auto& [heads, kv] : {std::pair(9, 3), {32, 8}, {64, 64}, {4, 1}, {1, 1}}) {
    const Partition partition(args_with(heads, kv));
    for (Role role : kRoles) {
      const int64_t extent = role == Role::kReplicated ? 7 : partition.extent(role);
      const auto cuts = partition.cuts(role, extent);
      EXPECT_EQ(cuts.front(), 0);
      EXPECT_EQ(cuts.back(), extent);
      for (size_t i = 1; i < cuts.size(); ++i) EXPECT_LT(cuts[i - 1], cuts[i]);
    }
  }
}

TEST(Partition, AttentionShards_AreWholeGroups_WhereThereAreEnough) {
  const Partition grouped(args_with(32, 8));
  EXPECT_EQ(grouped.attention_shards(), 8);
  for (int i = 0; i <= 8; ++i) EXPECT_EQ(grouped.attention_cut(i), 4 * i);

  const Partition few(args_with(9, 3));
  EXPECT_EQ(few.attention_shards(), 8);
  EXPECT_EQ(few.attention_cut(7), 7);
  EXPECT_EQ(few.attention_cut(8), 9);
  EXPECT_EQ(few.cuts(Role::kHeadInput, 576),
            (std::vector<int64_t>{0, 64, 128, 192, 256, 320, 384, 448, 576}));

  const Partition narrow(args_with(4, 4, 3));
  EXPECT_EQ(narrow.attention_shards(), 4);
  EXPECT_EQ(narrow.mlp_shards(), 3);
}

TEST(Partition, SlicesOfTheRanks_TileTheTensor_AtAnySize) {
  const Partition partition(args_with(9, 3));
  for (int size = 1; size <= 11; ++size) {
    for (Role role : {Role::kVocab, Role::kQueryHeads, Role::kHeadInput, Role::kMlpOut}) {
      const int64_t extent = partition.extent(role);
      const auto cuts = partition.cuts(role, extent);
      int64_t end = 0;
      for (int rank = 0; rank < size; ++rank) {
        const TensorSlice slice = partition.slice(role, extent, rank, size);
        EXPECT_EQ(slice.begin, end);
        EXPECT_EQ(slice.begin, cuts[static_cast<size_t>(slice.part_begin)]);
        EXPECT_EQ(slice.end, cuts[static_cast<size_t>(slice.part_end)]);
        end = slice.end;
      }
      EXPECT_EQ(end, extent);
    }
  }
}

TEST(Partition, EveryQueryHead_HasItsKvHead_OnItsRank) {
  for (const auto& [heads, kv] : {std::pair(9, 3), {32, 8}, {6, 2}, {8, 8}}) {
    const Partition partition(args_with(heads, kv));
    for (int size = 1; size <= 8; ++size) {
      std::set<int> seen;
      for (int rank = 0; rank < size; ++rank) {
        const HeadRange range = partition.heads(rank, size);
        EXPECT_EQ(range.group, heads / kv);
        for (int q = range.q_begin; q < range.q_end; ++q) {
          seen.insert(q);
          EXPECT_GE(q / range.group, range.kv_begin);
          EXPECT_LT(q / range.group, range.kv_end);
        }
        const TensorSlice slice = partition.slice(Role::kKvHeads, kv * 64, rank, size);
        EXPECT_EQ(slice.begin, range.kv_begin * 64);
        EXPECT_EQ(slice.end, range.kv_end * 64);
      }
      EXPECT_EQ(seen.size(), static_cast<size_t>(heads));
    }
  }
}

TEST(Partition, Find_SkipsTheLayer_AndScalesAndBiasesFollow) {
  const Partition partition(args_with(9, 3));
  const auto role = [&](std::string_view name) { return partition.find(name)->role; };
  EXPECT_EQ(role("model.layers.17.self_attn.q_proj.weight"), Role::kQueryHeads);
  EXPECT_TRUE(partition.find("model.layers.17.self_attn.q_proj.weight")->is_int8(false));
  EXPECT_EQ(role("model.layers.0.self_attn.q_proj.weight_scale"), Role::kQueryHeads);
  EXPECT_FALSE(partition.find("model.layers.0.self_attn.q_proj.weight_scale")->may_be_int8());
  EXPECT_EQ(role("lm_head.weight_scale"), Role::kVocab);
  EXPECT_TRUE(partition.find("lm_head.weight")->is_int8(true));
  EXPECT_FALSE(partition.find("lm_head.weight")->is_int8(false));
  EXPECT_FALSE(partition.find("model.embed_tokens.weight")->may_be_int8());
  EXPECT_EQ(role("model.layers.0.self_attn.k_proj.bias"), Role::kKvHeads);
  EXPECT_EQ(role("model.layers.0.mlp.down_proj.weight_scale"), Role::kReplicated);
  EXPECT_EQ(role("model.layers.0.self_attn.o_proj.bias"), Role::kReplicated);
  EXPECT_EQ(role("model.norm.weight"), Role::kReplicated);
  for (const char* unknown :
       {"model.layers.0.self_attn.z.weight", "model.layers.x.mlp.up_proj.weight",
        "model.layers.01.mlp.up_proj.weight", "model.layers.-1.mlp.up_proj.weight", "model.layers.",
        "", "z.bias"}) {
    EXPECT_EQ(partition.find(unknown), nullptr) << unknown;
  }
}

}  // namespace
}  // namespace octet
