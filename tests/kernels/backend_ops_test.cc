// The backend contract suite: embedding, norms, rotation and cache, attention, rows.
#include <array>
#include <utility>
#include <vector>

#include "tests/kernels/backend_fixture.h"

namespace octet {
namespace {

class BackendOps : public testing::BackendTest {
 protected:
  static Tensor int32s(std::vector<int32_t> values) {
    const Tensor tensor = Tensor::host(DType::kI32, {static_cast<int64_t>(values.size())});
    std::copy(values.begin(), values.end(), tensor.data<int32_t>());
    return tensor;
  }
  // Zeros.
  static KVCacheView cache_of(DType dtype, Shape shape) {
    KVCacheView cache{.k = Tensor::host(dtype, shape), .v = Tensor::host(dtype, shape)};
    if (dtype == DType::kI8) {
      const Shape vectors{shape[0], shape[1], shape[2]};
      cache.k_scales = Tensor::host(DType::kF32, vectors);
      cache.v_scales = Tensor::host(DType::kF32, vectors);
    }
    return cache;
  }
  // Random keys and values in every slot, the same in both: `ours` by the back end under test,
  // `expected` by the reference.
  void fill(const KVCacheView& ours, const KVCacheView& expected, HeadRange heads) {
    heads.q_end = heads.q_begin;
    const int64_t slots = ours.k.dim(0) * ours.k.dim(2), d = ours.k.dim(3);
    RopeStoreArgs args{.qkv = random({slots, 2 * heads.num_kv() * d}),
                       .positions = Tensor::host(DType::kI32, {slots}),
                       .slots = Tensor::host(DType::kI32, {slots}),
                       .cos_sin = {},
                       .style = RopeStyle::kNone,
                       .heads = heads,
                       .head_dim = static_cast<int>(d),
                       .cache = ours};
    for (int64_t i = 0; i < slots; ++i) args.slots.data<int32_t>()[i] = static_cast<int32_t>(i);
    rope_store(*backend_, args);
    args.cache = expected;
    rope_store(*reference_, args);
  }

  // What attention of every row finds in the two caches is the same.
  void expect_same_cache(const RopeStoreArgs& ours, const RopeStoreArgs& expected) {
    const int64_t n = ours.qkv.dim(0), blocks = ours.cache.k.dim(0);
    AttentionArgs args{.qkv = ours.qkv,
                       .cu_seqlens = Tensor::host(DType::kI32, {n + 1}),
                       .context_lens = Tensor::host(DType::kI32, {n}),
                       .block_tables = Tensor::host(DType::kI32, {n, blocks}),
                       .heads = ours.heads,
                       .head_dim = ours.head_dim,
                       .alibi_slopes = {},
                       .cache = ours.cache,
                       .out = Tensor::host(DType::kF32, {n, ours.heads.num_q() * ours.head_dim})};
    for (int64_t i = 0; i < n; ++i) {
      args.cu_seqlens.data<int32_t>()[i + 1] = static_cast<int32_t>(i + 1);
      args.context_lens.data<int32_t>()[i] =
          static_cast<int32_t>(i % (blocks * ours.cache.k.dim(2)) + 1);
      for (int64_t b = 0; b < blocks; ++b) {
        args.block_tables.data<int32_t>()[i * blocks + b] = static_cast<int32_t>(b);
      }
    }
    attention(*backend_, args);
    const Tensor out = args.out;
    args.cache = expected.cache;
    args.out = Tensor::host(DType::kF32, out.shape());
    attention(*reference_, args);
    expect_near(out, args.out, 1e-5f);
  }
};

TEST_P(BackendOps, EmbeddingGivesRowsAndPositiveZerosForRowsOfOthers) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor table = random_weight(dtype, 10, 37).weight;
    table.raw_data()[0] = std::byte{0};
    const Tensor ids = int32s({4, 5, 14, 3, 15, 9});
    const Tensor out = Tensor::host(DType::kF32, {6, 37}),
                 expected = Tensor::host(DType::kF32, {6, 37});
    std::fill(out.span<float>().begin(), out.span<float>().end(), 7.0f);
    {
      testing::OnDevice on(*backend_);
      backend_->embed(on(ids), on(table), 5, on(out));
    }
    reference_->embed(ids, table, 5, expected);
    EXPECT_TRUE(same_bits(out.data<float>(), expected.data<float>(), out.numel()));
    EXPECT_EQ(out.data<float>()[0], 0.0f);
    EXPECT_FALSE(std::signbit(out.data<float>()[0]));

    LinearWeight head;
    head.weight = table;
    const auto packed = backend_->pack(head);
    std::fill(out.span<float>().begin(), out.span<float>().end(), 7.0f);
    {
      testing::OnDevice on(*backend_);
      backend_->embed(on(ids), *packed, 5, on(out));
    }
    EXPECT_TRUE(same_bits(out.data<float>(), expected.data<float>(), out.numel()));
  }
}

TEST_P(BackendOps, AddNormAgreesWithTheReferenceForBothKinds) {
  for (const NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
    for (const int64_t h : {3, 16, 48, 100, 576, 4099, 12288, 20000}) {
      AddNormArgs args{.residual = random({9, h}, 2),
                       .delta = random({9, h}),
                       .delta_bias = random({h}),
                       .weight = random({h}),
                       .kind = kind,
                       .out = Tensor::host(DType::kF32, {9, h})};
      if (kind == NormKind::kLayer) args.bias = random({h});
      AddNormArgs expected = args;
      expected.residual = copy(args.residual);
      expected.out = Tensor::host(DType::kF32, {9, h});
      add_norm(*backend_, args);
      add_norm(*reference_, expected);
      expect_near(args.residual, expected.residual, 1e-6f);
      expect_near(args.out, expected.out, 2e-5f);
    }
  }
}

TEST_P(BackendOps, ANormMakesItsDeltaOfRoots) {
  constexpr int64_t kRows = 33, kWidth = 1000;
  const Shape shape{kRows, kWidth};
  const Tensor a = random(shape, 1e4f), b = random(shape), c = random(shape, 1e-3f);
  const std::vector<const float*> roots{a.data<float>(), b.data<float>(), c.data<float>()};
  const std::vector<std::vector<TreeAdd>> orders{{}, {{0, 1}}, {{1, 2}, {0, 1}}};  // a + (b + c)
  for (size_t count = 1; count <= 3; ++count) {
    const Tensor sum = Tensor::host(DType::kF32, shape);
    for (int64_t i = 0; i < sum.numel(); ++i) {
      const float x = a.data<float>()[i], y = b.data<float>()[i], z = c.data<float>()[i];
      sum.data<float>()[i] = count == 1 ? x : count == 2 ? x + y : x + (y + z);
    }
    for (const bool normalises : {true, false}) {
      AddNormArgs args{
          .residual = random(shape, 2), .delta = random(shape), .delta_bias = random({kWidth})};
      if (normalises) args.weight = random({kWidth});
      AddNormArgs expected = args;
      args.unfolded = {std::span(roots).first(count), orders[count - 1]};
      if (backend_->queue().device >= 0) {  // whose communicators make the sum
        EXPECT_DEATH(backend_->add_norm(args), "roots to fold");
        continue;
      }
      expected.delta = sum;
      expected.residual = copy(args.residual);
      for (AddNormArgs* call : {&args, &expected}) {
        if (normalises) call->out = Tensor::host(DType::kF32, shape);
        backend_->add_norm(*call);
      }
      const auto same = [](const Tensor& x, const Tensor& y) {
        return same_bits(x.data<float>(), y.data<float>(), x.numel());
      };
      EXPECT_TRUE(same(args.residual, expected.residual)) << count << " roots";
      EXPECT_TRUE(!normalises || same(args.out, expected.out)) << count << " roots";
    }
  }
}

TEST_P(BackendOps, RowsOfANormAreAlone) {
  struct Case {
    int64_t rows, h;
  };
  for (const auto& [n, h] : {Case{40, 100}, {9, 12288}, {270, 4100}, {270, 12288}}) {
    const Tensor weight = random({h}), rows = random({n, h}), delta = random({n, h});
    const auto run = [&](int64_t begin, int64_t end) {
      const AddNormArgs args{.residual = copy(rows.rows(begin, end)),
                             .delta = delta.rows(begin, end),
                             .weight = weight,
                             .out = Tensor::host(DType::kF32, {end - begin, h})};
      add_norm(*backend_, args);
      return args;
    };
    const AddNormArgs together = run(0, n);
    const int64_t step = n > 50 ? 67 : 1;
    for (int64_t i = 0; i < n; i += step) {
      const AddNormArgs alone = run(i, i + 1);
      const auto same = [&](const Tensor& all, const Tensor& row) {
        return same_bits(all.rows(i, i + 1).data<float>(), row.data<float>(), h);
      };
      EXPECT_TRUE(same(together.out, alone.out)) << n << " x " << h << ", row " << i;
      EXPECT_TRUE(same(together.residual, alone.residual)) << n << " x " << h << ", row " << i;
    }
  }
}

TEST_P(BackendOps, ANormThatKnowsItsProductChangesNoBit) {
  struct Case {
    int64_t rows, h;
    Int8Product product;
    NormKind norm = NormKind::kLayer;
    std::vector<int64_t> cuts;  // or one shard
  };
  const std::vector<Case> cases = {
      {5, 12288, Int8Product::kLlmInt8},
      {9, 12288, Int8Product::kLlmInt8},
      {9, 6148, Int8Product::kW8A8, NormKind::kRms},
      {270, 4100, Int8Product::kLlmInt8},
      {5, 5001, Int8Product::kW8A8, NormKind::kRms},
      {70, 140, Int8Product::kLlmInt8, NormKind::kRms},
      {1, 140, Int8Product::kW8A8},
      {0, 140, Int8Product::kLlmInt8},
      {5, 140, Int8Product::kW8A16},
      {5, 140, Int8Product::kLlmInt8, NormKind::kLayer, {0, 40, 40, 100, 140}},
  };
  for (const Case& c : cases) {
    LinearWeight weight = random_weight(DType::kI8, 40, c.h);
    weight.product = c.product;
    weight.outlier_threshold = 2.5f;
    if (!c.cuts.empty()) {
      weight.num_shards = static_cast<int>(c.cuts.size()) - 1;
      weight.shards = {0, weight.num_shards};
      weight.cuts = c.cuts;
    }
    const auto packed = backend_->pack(weight);
    backend_->reserve(c.rows + 2);
    const Tensor residual = random({c.rows, c.h}), delta = random({c.rows, c.h}),
                 delta_bias = random({c.h}), norm = random({c.h}), bias = random({c.h}),
                 others = random({c.rows + 2, c.h});
    const auto run = [&](const PackedLinear* next) {
      const std::array outs{Tensor::host(DType::kF32, {1, c.rows, 40}),
                            Tensor::host(DType::kF32, {1, c.rows + 2, 40})};
      const uint64_t before = packed->outliers();
      {
        testing::OnDevice on(*backend_);
        const Tensor x = backend_->allocate(DType::kF32, {c.rows, c.h});
        backend_->add_norm({.residual = on(copy(residual)),
                            .delta = on(delta),
                            .delta_bias = on(delta_bias),
                            .weight = on(norm),
                            .bias = on(bias),
                            .kind = c.norm,
                            .out = x,
                            .next = next});
        backend_->linear(x, *packed, on(outs[0]));
        backend_->linear(on(others), *packed, on(outs[1]));
      }
      return std::pair(outs, packed->outliers() - before);
    };
    const auto [told, told_outliers] = run(packed.get());
    const auto [not_told, outliers] = run(nullptr);
    EXPECT_EQ(told_outliers, outliers);
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE(same_bits(told[i].data<float>(), not_told[i].data<float>(), told[i].numel()));
    }
  }
}

TEST_P(BackendOps, RotationAndCacheAgreeWithTheReference) {
  for (const RopeStyle style : {RopeStyle::kNone, RopeStyle::kHalf, RopeStyle::kInterleaved}) {
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
      RopeStoreArgs args{
          .qkv = random({20, 7 * 12}),
          .positions = integers({20}, 0, 50),
          .slots = Tensor::host(DType::kI32, {20}),
          .cos_sin = random({50, 12}),
          .style = style,
          .heads = {.q_begin = 2, .q_end = 5, .kv_begin = 0, .kv_end = 2, .group = 3},
          .head_dim = 12,
          .cache = cache_of(dtype, {6, 2, 4, 12})};
      for (int i = 0; i < 20; ++i) args.slots.data<int32_t>()[i] = (i * 7) % 24;
      RopeStoreArgs expected = args;
      expected.qkv = copy(args.qkv);
      expected.cache = cache_of(dtype, {6, 2, 4, 12});
      rope_store(*backend_, args);
      rope_store(*reference_, expected);
      expect_near(args.qkv, expected.qkv, 1e-6f);
      expect_same_cache(args, expected);
    }
  }
}

TEST_P(BackendOps, NormsOfHeadsComeBeforeTheirRotation) {
  RopeStoreArgs args{.qkv = random({9, 7 * 20}),
                     .q_norm = random({20}),
                     .k_norm = random({20}),
                     .positions = integers({9}, 0, 50),
                     .slots = Tensor::host(DType::kI32, {9}),
                     .cos_sin = random({50, 12}),
                     .heads = {.q_begin = 2, .q_end = 5, .kv_begin = 0, .kv_end = 2, .group = 3},
                     .head_dim = 20,
                     .cache = cache_of(DType::kF32, {3, 2, 4, 20})};
  for (int i = 0; i < 9; ++i) args.slots.data<int32_t>()[i] = i;
  RopeStoreArgs expected = args;
  expected.qkv = copy(args.qkv);
  expected.cache = cache_of(DType::kF32, {3, 2, 4, 20});
  rope_store(*backend_, args);
  rope_store(*reference_, expected);
  expect_near(args.qkv, expected.qkv, 1e-5f);
  expect_same_cache(args, expected);
}

// Three sequences of 40, 258 and 600 cached positions; their last 40, 5 and 1 are this step's rows.
TEST_P(BackendOps, AttentionAgreesWithTheReference) {
  struct Form {
    HeadRange heads;
    int d, window, block_size;
    bool alibi;
    DType dtype;
  };
  const std::vector<Form> forms{{{0, 4, 0, 2, 2}, 16, 0, 16, false, DType::kF32},
                                {{1, 6, 0, 2, 3}, 20, 0, 16, false, DType::kBF16},
                                {{0, 3, 0, 3, 1}, 8, 37, 24, false, DType::kF32},
                                {{3, 28, 0, 1, 30}, 8, 0, 16, false, DType::kF32},
                                {{0, 4, 0, 1, 4}, 64, 300, 16, true, DType::kBF16},
                                {{0, 20, 0, 1, 20}, 96, 0, 64, false, DType::kBF16},
                                {{0, 2, 0, 1, 2}, 128, 0, 32, false, DType::kBF16},
                                {{66, 70, 0, 1, 70}, 32, 0, 16, false, DType::kBF16},
                                {{0, 2, 0, 1, 2}, 32, 0, 3, false, DType::kBF16},
                                {{1, 6, 0, 2, 3}, 20, 37, 24, false, DType::kBF16},
                                {{0, 6, 0, 2, 3}, 21, 0, 16, false, DType::kBF16},
                                {{0, 4, 0, 2, 2}, 40, 301, 2, false, DType::kBF16},
                                {{0, 4, 0, 2, 2}, 24, 0, 1024, false, DType::kBF16},
                                {{0, 4, 0, 2, 2}, 64, 0, 16, true, DType::kI8},
                                {{1, 6, 0, 2, 3}, 20, 37, 24, false, DType::kI8},
                                {{0, 2, 0, 1, 2}, 32, 0, 3, false, DType::kI8},
                                {{0, 2, 0, 2, 1}, 32, 2, 48, false, DType::kBF16}};
  for (const Form& form : forms) {
    const int64_t num_q = form.heads.num_q(), num_kv = form.heads.num_kv();
    const int max_blocks = (600 + form.block_size - 1) / form.block_size;
    const Shape shape{3 * max_blocks, num_kv, form.block_size, form.d};
    const KVCacheView cache = cache_of(form.dtype, shape);
    const KVCacheView expected_cache = cache_of(form.dtype, shape);
    fill(cache, expected_cache, form.heads);
    AttentionArgs args{.qkv = random({49, (num_q + 2 * num_kv) * form.d}),
                       .cu_seqlens = int32s({0, 40, 48, 49}),
                       .context_lens = int32s({40, 260, 600}),
                       .block_tables = Tensor::host(DType::kI32, {3, max_blocks}),
                       .heads = form.heads,
                       .head_dim = form.d,
                       .scale = 0.3f,
                       .sliding_window = form.window,
                       .alibi_slopes = form.alibi ? random({num_q}, 0.1f) : Tensor(),
                       .cache = cache,
                       .out = Tensor::host(DType::kF32, {49, num_q * form.d})};
    for (int i = 0; i < 3 * max_blocks; ++i) {  // 53 and 3 * max_blocks have no common factor
      args.block_tables.data<int32_t>()[i] = (i * 53) % (3 * max_blocks);
    }
    AttentionArgs expected = args;
    expected.cache = expected_cache;
    expected.out = Tensor::host(DType::kF32, args.out.shape());
    attention(*backend_, args);
    attention(*reference_, expected);
    // For an int8 cache q may be rounded to 2^-16 of its largest element: of 64 elements, at this
    // scale, that is a standard deviation of 4e-5 in a score, and so in the ratio of two weights.
    expect_near(args.out, expected.out, form.dtype == DType::kI8 ? 1e-4f : 1e-5f);

    // The same rows one step at a time have the same bits.
    for (int32_t row = 0; row < 49; ++row) {
      const int s = row < 40 ? 0 : row < 48 ? 1 : 2;
      AttentionArgs one = args;
      one.qkv = args.qkv.rows(row, row + 1);
      one.cu_seqlens = int32s({0, 1});
      one.context_lens = int32s({args.context_lens.data<int32_t>()[s] -
                                 (args.cu_seqlens.data<int32_t>()[s + 1] - row - 1)});
      one.block_tables = args.block_tables.rows(s, s + 1);
      one.out = Tensor::host(DType::kF32, {1, num_q * form.d});
      attention(*backend_, one);
      ASSERT_TRUE(same_bits(one.out.data<float>(), args.out.data<float>() + row * num_q * form.d,
                            num_q * form.d))
          << row;
    }
  }
}

// What is not finite in a key or a value is not lost in a cache, and is seen by those rows alone
// that see it: together and one at a time.
TEST_P(BackendOps, ACacheKeepsWhatIsNotFinite) {
  constexpr int kDim = 32, kKey = kDim, kValue = 2 * kDim, kRow = 3 * kDim, kRows = 40, kBad = 20;
  std::vector<int32_t> numbers(kRows + 1), tables;
  std::iota(numbers.begin(), numbers.end(), 0);
  for (int i = 0; i < kRows; ++i) tables.insert(tables.end(), {0, 1, 2});
  for (const auto& [dtype, place] :
       {std::pair(DType::kI8, kKey), std::pair(DType::kI8, kValue), std::pair(DType::kBF16, kKey),
        std::pair(DType::kBF16, kValue)}) {
    // CUDA's prefill multiplies a tile's bf16 values by 0 for the rows that do not see them.
    if (GetParam().device == "cuda" && dtype == DType::kBF16 && place == kValue) continue;
    const Tensor rows = int32s(std::vector(numbers.begin(), numbers.end() - 1));
    RopeStoreArgs args{.qkv = random({kRows, kRow}),
                       .positions = rows,
                       .slots = rows,
                       .style = RopeStyle::kNone,
                       .heads = {0, 1, 0, 1, 1},
                       .head_dim = kDim,
                       .cache = cache_of(dtype, {3, 1, 16, kDim})};
    args.qkv.data<float>()[kBad * kRow + place + 5] = std::numeric_limits<float>::infinity();
    rope_store(*backend_, args);
    AttentionArgs read{.qkv = args.qkv,
                       .cu_seqlens = {},
                       .context_lens = {},
                       .block_tables = int32s(tables).reshape({kRows, 3}),
                       .heads = args.heads,
                       .head_dim = kDim,
                       .alibi_slopes = {},
                       .cache = args.cache,
                       .out = Tensor::host(DType::kF32, {kRows, kDim})};
    Tensor alone;
    for (const bool together : {false, true}) {
      read.cu_seqlens = together ? int32s({0, kRows}) : int32s(numbers);
      read.context_lens =
          together ? int32s({kRows}) : int32s(std::vector(numbers.begin() + 1, numbers.end()));
      attention(*backend_, read);
      const float* out = read.out.data<float>();
      EXPECT_TRUE(!together || same_bits(out, alone.data<float>(), kBad * kDim));
      alone = copy(read.out);
      for (int i = 0; i < kRows; ++i) {
        if (place == kKey && i >= kBad) break;
        for (int k = 0; k < kDim; ++k) {
          const bool unfinite = i >= kBad && (dtype == DType::kI8 || k == 5);  // of a shared scale
          EXPECT_EQ(std::isfinite(out[i * kDim + k]), !unfinite)
              << dtype_name(dtype) << " " << i << " " << k;
        }
      }
    }
  }
}

TEST_P(BackendOps, ARankWithoutHeadsHasNothingToDo) {
  const KVCacheView cache = cache_of(DType::kF32, {2, 0, 4, 8});
  const Tensor none = Tensor::host(DType::kF32, {3, 0});
  rope_store(*backend_, {.qkv = none,
                         .positions = int32s({0, 1, 2}),
                         .slots = int32s({0, 1, 2}),
                         .cos_sin = random({4, 8}),
                         .heads = {9, 9, 3, 3, 3},
                         .head_dim = 8,
                         .cache = cache});
  attention(*backend_, {.qkv = none,
                        .cu_seqlens = int32s({0, 3}),
                        .context_lens = int32s({3}),
                        .block_tables = Tensor::host(DType::kI32, {1, 1}),
                        .heads = {9, 9, 3, 3, 3},
                        .head_dim = 8,
                        .alibi_slopes = {},
                        .cache = cache,
                        .out = none});
}

TEST_P(BackendOps, GatherRowsCopiesThemInOrder) {
  const Tensor x = random({6, 5}), out = Tensor::host(DType::kF32, {3, 5});
  {
    testing::OnDevice on(*backend_);
    backend_->gather_rows(on(x), on(int32s({5, 0, 5})), on(out));
  }
  for (int k = 0; k < 5; ++k) {
    EXPECT_EQ(out.data<float>()[k], x.data<float>()[25 + k]);
    EXPECT_EQ(out.data<float>()[5 + k], x.data<float>()[k]);
    EXPECT_EQ(out.data<float>()[10 + k], x.data<float>()[25 + k]);
  }
}

// Twice with one key, then with another, then with the first again: as often as it was asked for,
// and on what the memory holds then.
TEST_P(BackendOps, ReplayDoesAgainWhatItsKeyStandsFor) {
  const Tensor residual = Tensor::host(DType::kF32, {2, 8}),
               delta = Tensor::host(DType::kF32, {2, 8});
  std::ranges::fill(delta.span<float>(), 1.0f);
  {
    testing::OnDevice on(*backend_);
    const Tensor r = on(residual), d = on(delta);
    const auto add = [&] { backend_->add_norm({.residual = r, .delta = d}); };
    const auto add_to_delta = [&] { backend_->add_norm({.residual = d, .delta = r}); };
    for (int i = 0; i < 3; ++i) backend_->replay(1, add);           // r = 3
    for (int i = 0; i < 2; ++i) backend_->replay(2, add_to_delta);  // d = 7
    backend_->replay(1, add);
  }
  for (const float x : residual.span<float>()) EXPECT_EQ(x, 10.0f);
  for (const float x : delta.span<float>()) EXPECT_EQ(x, 7.0f);
}

INSTANTIATE_TEST_SUITE_P(All, BackendOps, ::testing::ValuesIn(testing::backend_cases()),
                         testing::case_name);

}  // namespace
}  // namespace octet
