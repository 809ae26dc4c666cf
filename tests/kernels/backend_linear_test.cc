// The backend contract suite: linear.
#include <cmath>

#include "kernels/linear_shape.h"
#include "tests/kernels/backend_fixture.h"

namespace octet {
namespace {

class BackendLinear : public testing::BackendTest {};

TEST_P(BackendLinear, Int8HasTheReferencesBitsWhateverTheShape) {
  for (const auto& [out, in] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {16, 64}, {17, 3}, {64, 100}, {200, 257}, {130, 576}, {520, 1100}}) {
    LinearWeight weight = random_weight(DType::kI8, out, in);
    if (out % 2 == 1) weight.bias = random({out});
    for (const int64_t rows : {9, 16, 23, 70, 300}) {
      const Tensor x = random({rows, in}, 3);
      const Tensor actual = apply(*backend_, weight, x), expected = apply(*reference_, weight, x);
      EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel()))
          << rows << " x " << in << " to " << out;
    }
  }
}

TEST_P(BackendLinear, OutliersHaveTheReferencesBits_InWideRows) {
  for (const int64_t in : {2500, 5000, 9001, 20'001, 40'000}) {
    LinearWeight weight = random_weight(DType::kI8, 5, in);
    weight.product = Int8Product::kLlmInt8;
    const Tensor x = random({2, in}, 0.1f);
    for (int64_t k = 3; k < in; k += 997) x.data<float>()[k] *= 40;
    const Tensor actual = apply(*backend_, weight, x), expected = apply(*reference_, weight, x);
    EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel())) << in;
  }
}

// One element of each row lies at the limit, beside it, or so far from it that a sum in any other
// order would tell as much.
TEST_P(BackendLinear, OutliersHaveTheReferencesBits_AtTheLimit) {
  const std::vector<double> factors{0.999,    0.9998,   0.99995, 1 - 2e-7, 1 - 1e-7, 1,
                                    1 + 1e-7, 1 + 2e-7, 1.00005, 1.0002,   1.001};
  for (const int64_t in : {90, 700, 3000, 12288, 20001}) {
    LinearWeight weight = random_weight(DType::kI8, 5, in);
    weight.product = Int8Product::kLlmInt8;
    const Tensor x = random({std::ssize(factors), in}, 0.1f);
    for (int64_t row = 0; row < x.dim(0); ++row) {
      float* values = x.data<float>() + row * in;
      double others = 0;
      for (int64_t k = 1; k < in; ++k) others += std::fabs(double{values[k]});
      const double limit = kOutlierRatio * others / (static_cast<double>(in) - kOutlierRatio);
      values[0] = static_cast<float>(limit * factors[row]);
    }
    const Tensor actual = apply(*backend_, weight, x), expected = apply(*reference_, weight, x);
    EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel())) << in;
  }
}

// A few columns are 10 to 60 times the others, one of them in three of four rows.
TEST_P(BackendLinear, OutliersHaveTheReferencesBits_InAnyRowAndPlace) {
  for (const auto& [out, in] : std::vector<std::pair<int64_t, int64_t>>{
           {33, 1}, {40, 63}, {64, 64}, {70, 300}, {48, 577}, {128, 1100}}) {
    LinearWeight weight = random_weight(DType::kI8, out, in);
    weight.product = Int8Product::kLlmInt8;
    const Tensor x = random({100, in});
    for (int64_t row = 0; row < 100; ++row) {
      for (int64_t k = row % in; row % 2 == 0 && k < in; k += 41)
        x.data<float>()[row * in + k] *= 10.0f + 50 * (k % 2);
      if (row % 4 != 1) x.data<float>()[row * in + in / 2] *= 30;
    }
    const Tensor actual = apply(*backend_, weight, x), expected = apply(*reference_, weight, x);
    EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel()))
        << out << " x " << in;
  }
}

// Neighbours with high digits of 127, of one sign and of both, times weights of 127 and -127: no
// two of their products may meet in 16 bits. Odd rows' digits are small.
TEST_P(BackendLinear, OutliersHaveTheReferencesBits_SideBySide) {
  for (const int64_t out : {5, 20, 40, 64}) {
    constexpr int64_t kIn = 200;
    LinearWeight weight = random_weight(DType::kI8, out, kIn);
    weight.product = Int8Product::kLlmInt8;
    const Tensor x = random({7, kIn});
    for (int64_t k = 64; k < 72; ++k) {
      for (int64_t o = 0; o < out; ++o) {
        weight.weight.data<int8_t>()[o * kIn + k] = (o + k / 4) % 3 == 0 ? -127 : 127;
      }
      for (int64_t row = 0; row < 7; ++row) {
        const float sign = row % 4 < 2 || k % 2 == 0 ? 1.0f : -1.0f;
        x.data<float>()[row * kIn + k] =
            (row % 2 == 0 ? 2000.0f : 100.0f) * (k < 68 ? sign : -sign);
      }
    }
    for (const int64_t rows : {1, 2, 7}) {
      const Tensor some = x.rows(0, rows);
      const Tensor actual = apply(*backend_, weight, some);
      const Tensor expected = apply(*reference_, weight, some);
      EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel()))
          << rows << " rows to " << out;
    }
  }
}

// Neighbours' digits of 127 to 130 and of 254 in sum, of the same sign or not, times weights of 127
// and -127: two of their products are about as much as 16 bits hold, or more.
TEST_P(BackendLinear, LargeNeighboursHaveTheReferencesBits) {
  constexpr int kSums[] = {127, 128, 129, 130, 254}, kSigns = 4, kRows = 5 * kSigns;
  constexpr int64_t kIn = 530, kOut = 70;
  LinearWeight weight = random_weight(DType::kI8, kOut, kIn);
  for (int64_t i = 0; i < weight.weight.numel(); ++i) {
    weight.weight.data<int8_t>()[i] = (i / kIn + i % kIn / 2) % 3 == 0 ? -127 : 127;
  }
  const Tensor x = random({kRows, kIn});
  for (int row = 0; row < kRows; ++row) {
    const int sum = kSums[row / kSigns], sign = row % kSigns;
    for (int pair = 0; pair < kIn / 2; ++pair) {
      const int first = sum == 254 ? 127 : 1 + pair % 127, second = std::min(127, sum - first);
      const bool negative = sign == 1 || (sign > 1 && pair / 3 % 2 == 0);
      float* two = x.data<float>() + row * kIn + 2 * pair;  // the digits: the largest is 127
      two[0] = static_cast<float>(negative ? -first : first);
      two[1] = static_cast<float>(negative == (sign < 3) ? -second : second);
    }
    x.data<float>()[row * kIn] = 3;  // no sum is zero, whose sign is not the reference's
  }
  for (const int64_t rows : {1, 2, 20}) {
    const Tensor some = x.rows(kRows - rows, kRows);
    const Tensor actual = apply(*backend_, weight, some),
                 expected = apply(*reference_, weight, some);
    EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel())) << rows;
  }
}

TEST_P(BackendLinear, OutliersHaveTheReferencesBits_AtAnyMagnitude) {
  LinearWeight weight = random_weight(DType::kI8, 33, 100);
  weight.product = Int8Product::kLlmInt8;
  weight.scales = random({33});
  for (const float magnitude : {1e-37f, 1e-36f, 1e-35f, 1e-33f, 1e-30f, 1e30f}) {
    const Tensor x = random({2, 100}, magnitude);
    x.data<float>()[7] *= 200;
    x.data<float>()[150] *= 20;
    const Tensor actual = apply(*backend_, weight, x), expected = apply(*reference_, weight, x);
    EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel()))
        << magnitude;
    double squares = 0, errors = 0;
    for (int64_t i = 0; i < expected.numel(); ++i) {
      double exact = 0;
      for (int64_t k = 0; k < 100; ++k) {
        exact += double{x.data<float>()[i / 33 * 100 + k]} *
                 weight.weight.data<int8_t>()[i % 33 * 100 + k] *
                 weight.scales.data<float>()[i % 33];
      }
      squares += exact * exact;
      errors += (expected.data<float>()[i] - exact) * (expected.data<float>()[i] - exact);
    }
    if (magnitude > 1e-35f) {
      EXPECT_LT(errors, 1e-3 * squares) << magnitude;
    }
  }
}

TEST_P(BackendLinear, WideRowsHaveTheReferencesBits) {
  for (const int64_t in : {3000, 7001, 12288, 16000, 20001}) {
    for (const Int8Product product : {Int8Product::kW8A8, Int8Product::kLlmInt8}) {
      LinearWeight weight = random_weight(DType::kI8, 3, in);
      weight.product = product;
      const Tensor x = random({2, in}, 0.1f);
      for (int64_t k = in; k < 2 * in; k += 997) x.data<float>()[k] *= 20.0f;
      const Tensor actual = apply(*backend_, weight, x), expected = apply(*reference_, weight, x);
      EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel())) << in;
    }
  }
}

TEST_P(BackendLinear, WhatIsNotFiniteStaysNotFinite_InItsRowAlone) {
  for (const Int8Product product : {Int8Product::kW8A8, Int8Product::kLlmInt8}) {
    LinearWeight weight = random_weight(DType::kI8, 40, 100);
    weight.product = product;
    const Tensor x = random({4, 100});
    const Tensor sound = apply(*backend_, weight, x);
    x.data<float>()[100 + 99] = std::numeric_limits<float>::infinity();
    x.data<float>()[200 + 3] = std::numeric_limits<float>::quiet_NaN();
    const Tensor out = apply(*backend_, weight, x);
    for (int64_t i = 0; i < 40; ++i) {
      EXPECT_TRUE(std::isnan(out.data<float>()[40 + i]) && std::isnan(out.data<float>()[80 + i]));
    }
    EXPECT_TRUE(same_bits(out.data<float>(), sound.data<float>(), 40));
    EXPECT_TRUE(same_bits(out.data<float>() + 120, sound.data<float>() + 120, 40));
  }
}

// What the paper is about: one large column must not cost the others their digits.
TEST_P(BackendLinear, OutliersLeaveTheOthersTheirPrecision) {
  LinearWeight weight = random_weight(DType::kI8, 64, 512);
  const Tensor x = random({4, 512});
  for (int64_t row = 0; row < 4; ++row)
    x.data<float>()[row * 512 + 100] = row % 2 ? 300.0f : -80.0f;
  weight.product = Int8Product::kW8A16;
  const Tensor exact = apply(*backend_, weight, x);
  const auto error_of = [&](Int8Product product) {
    weight.product = product;
    const Tensor out = apply(*backend_, weight, x);
    double squares = 0;
    for (int64_t i = 0; i < out.numel(); ++i) {
      const double difference = out.data<float>()[i] - exact.data<float>()[i];
      squares += difference * difference;
    }
    return std::sqrt(squares);
  };
  EXPECT_LT(error_of(Int8Product::kLlmInt8) * 10, error_of(Int8Product::kW8A8));
}

TEST_P(BackendLinear, WhatPackingAndScratchTakeIsKnownBefore) {
  std::vector<LinearShape> shapes;
  for (const DType dtype : {DType::kI8, DType::kF32, DType::kBF16}) {
    for (const auto& [out, in] :
         std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {34, 100}, {200, 257}, {1030, 2050}}) {
      LinearWeight weight = random_weight(dtype, out, in);
      if (out == 34) weight.activation = Activation::kSiluGate;
      if (out == 200) weight.product = Int8Product::kLlmInt8;
      if (out == 1) weight.bias = random({out});
      weight.top = out == 200;
      if (out == 1030) {
        weight.num_shards = 4;
        weight.shards = {1, 4};
        weight.cuts = {0, 7, 1001, in};
      }
      shapes.push_back(shape_of(weight));
      EXPECT_EQ(backend_->pack(weight)->bytes(), backend_->packed_bytes(shapes.back()));
    }
  }
  EXPECT_EQ(backend_->reserve(9), backend_->scratch_bytes(shapes, 9));
}

// The same weight where a file would have it: runs of rows anywhere, blocks further apart than they
// are long.
LinearWeight in_blocks(const LinearWeight& weight, const std::vector<int64_t>& rows_of_runs) {
  constexpr int64_t kBefore = 64, kBehind = 192;
  const LinearShape shape = shape_of(weight);
  const std::vector<int64_t> cuts =
      weight.cuts.empty() ? std::vector<int64_t>{0, shape.columns} : weight.cuts;
  const WeightBlocks layout(shape.dtype, shape.dtype == DType::kI8, cuts);
  const int64_t stride = kBefore + layout.block_bytes() + kBehind;
  const int64_t row_bytes = shape.columns * static_cast<int64_t>(dtype_size(shape.dtype));
  LinearWeight blocked = weight;
  blocked.weight = {};
  blocked.blocked = {.dtype = shape.dtype, .columns = shape.columns, .runs = {}};
  const std::byte* next = weight.weight.raw_data();
  for (const int64_t rows : rows_of_runs) {
    const int64_t count = WeightBlocks::count(rows);
    const Tensor memory = Tensor::host(DType::kU8, {count, stride});
    for (int64_t block = 0; block < count; ++block) {
      std::array<const std::byte*, WeightBlocks::kBlock> from{};
      for (int64_t i = 0; i < WeightBlocks::kBlock && block * WeightBlocks::kBlock + i < rows;
           ++i) {
        from[i] = next + (block * WeightBlocks::kBlock + i) * row_bytes;
      }
      layout.lay_out(from, memory.raw_data() + block * stride + kBefore);
    }
    next += rows * row_bytes;
    blocked.blocked.runs.push_back(
        {.first = {memory.storage(), memory.raw_data() + kBefore}, .stride = stride, .rows = rows});
  }
  return blocked;
}

TEST_P(BackendLinear, WeightsInBlocksGiveTheSameBits) {
  if (!backend_->maps_files()) GTEST_SKIP() << "keeps no memory of others";
  const auto expect_same = [&](const LinearWeight& weight, const std::vector<int64_t>& runs) {
    const LinearWeight blocked = in_blocks(weight, runs);
    const auto packed = backend_->pack(blocked);
    EXPECT_EQ(packed->bytes(), backend_->packed_bytes(shape_of(blocked)));
    EXPECT_LE(packed->bytes(), backend_->packed_bytes(shape_of(weight)));
    for (const int64_t n : {1, 9, 70}) {
      const Tensor x = random({n, shape_of(weight).columns}, 3);
      const Tensor actual = apply(*backend_, blocked, x), expected = apply(*backend_, weight, x);
      EXPECT_TRUE(same_bits(actual.data<float>(), expected.data<float>(), actual.numel()))
          << dtype_name(shape_of(weight).dtype) << " " << n << " rows, " << runs.size() << " runs";
    }
  };
  for (const DType dtype : {DType::kI8, DType::kF32, DType::kBF16, DType::kF16}) {
    LinearWeight stacked = random_weight(dtype, 149, 203);
    stacked.bias = random({149});
    stacked.product = Int8Product::kLlmInt8;
    expect_same(stacked, {149});
    expect_same(stacked, {96, 16, 37});
    LinearWeight gated = random_weight(dtype, 154, 60);
    gated.activation = Activation::kSiluGate;
    expect_same(gated, {77, 77});
    LinearWeight shards = random_weight(dtype, 70, 1030);
    shards.num_shards = 4;
    shards.shards = {1, 4};
    shards.cuts = {0, 7, 701, 1030};
    expect_same(shards, {70});
  }
}

TEST_P(BackendLinear, OutliersAreCounted) {
  LinearWeight weight = random_weight(DType::kI8, 20, 90);
  weight.product = Int8Product::kLlmInt8;
  const Tensor x = Tensor::host(DType::kF32, {3, 90});
  std::fill_n(x.data<float>(), 90, 3.0f);  // row 0: by the threshold
  x.data<float>()[0] = x.data<float>()[89] = 6.0f;
  x.data<float>()[7] = 5.999f;
  std::fill_n(x.data<float>() + 90, 90, -0.1f);  // row 1: by what the others are
  x.data<float>()[100] = 1.1f;                   // the limit is 0.964
  x.data<float>()[101] = 0.95f;
  const auto packed = backend_->pack(weight);
  backend_->reserve(3);
  linear(*backend_, x, *packed, Tensor::host(DType::kF32, {1, 3, 20}));
  EXPECT_EQ(packed->outliers(), 3u);
}

TEST_P(BackendLinear, Int8WeightsWithFloatInputsAgreeWithTheReference) {
  LinearWeight weight = random_weight(DType::kI8, 75, 131);
  weight.product = Int8Product::kW8A16;
  weight.bias = random({75});
  const Tensor x = random({7, 131});
  expect_near(apply(*backend_, weight, x), apply(*reference_, weight, x), 1e-5f);
}

TEST_P(BackendLinear, FloatWeightsAgreeWithTheReference) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    LinearWeight weight = random_weight(dtype, 75, 131);
    weight.bias = random({75});
    const Tensor x = random({7, 131});
    expect_near(apply(*backend_, weight, x), apply(*reference_, weight, x), 1e-5f);
  }
}

TEST_P(BackendLinear, EveryActivationAgreesWithTheReference) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kGelu, Activation::kGeluTanh, Activation::kSiluGate}) {
    for (const DType dtype : {DType::kI8, DType::kF32}) {
      LinearWeight weight = random_weight(dtype, 154, 60);  // gates of 77: no multiple of a block
      weight.activation = activation;
      const Tensor x = random({5, 60}, 2);
      expect_near(apply(*backend_, weight, x), apply(*reference_, weight, x), 2e-5f);
    }
  }
}

TEST_P(BackendLinear, ARowsBitsDoNotDependOnTheRowsBesideIt) {
  constexpr int kRows = 270;  // more than one band of any kernel
  for (const DType dtype : {DType::kI8, DType::kF32, DType::kBF16}) {
    LinearWeight weight = random_weight(dtype, 150, 140);
    weight.product = Int8Product::kLlmInt8;
    weight.outlier_threshold = 2.5f;  // about two values of a row
    weight.activation = Activation::kSiluGate;
    const auto packed = backend_->pack(weight);
    backend_->reserve(kRows);
    const Tensor x = random({kRows, 140});
    const int64_t out_features = packed->out_features();
    const Tensor alone = Tensor::host(DType::kF32, {kRows, out_features});
    for (int64_t i = 0; i < kRows; ++i) {
      linear(*backend_, x.rows(i, i + 1), *packed,
             alone.rows(i, i + 1).reshape({1, 1, out_features}));
    }
    for (const int64_t n : {2, 3, 4, 5, 6, 7, 8, 11, 31, 34, 38, 48, 49, 64, 100, kRows}) {
      const Tensor together = Tensor::host(DType::kF32, {1, n, out_features});
      linear(*backend_, x.rows(0, n), *packed, together);
      EXPECT_TRUE(same_bits(together.data<float>(), alone.data<float>(), n * out_features))
          << n << " rows of " << dtype_name(dtype);
    }
  }
}

// Outputs of more than 4 MiB may be written past the caches: the same bits.
TEST_P(BackendLinear, ARowsBitsDoNotDependOnTheSizeOfTheOutputs) {
  constexpr int64_t kRows = 1040, kOutputs = 1040;
  for (const Activation activation : {Activation::kNone, Activation::kSiluGate}) {
    const int64_t of_weight = activation == Activation::kSiluGate ? 2 * kOutputs : kOutputs;
    LinearWeight weight = random_weight(DType::kI8, of_weight, 20);
    weight.activation = activation;
    const auto packed = backend_->pack(weight);
    backend_->reserve(kRows);
    const Tensor x = random({kRows, 20}), all = Tensor::host(DType::kF32, {1, kRows, kOutputs}),
                 few = Tensor::host(DType::kF32, {1, 9, kOutputs});
    linear(*backend_, x, *packed, all);
    for (const int64_t row : {int64_t{0}, kRows - 9}) {
      linear(*backend_, x.rows(row, row + 9), *packed, few);
      EXPECT_TRUE(same_bits(few.data<float>(), all.data<float>() + row * kOutputs, few.numel()));
    }
  }
}

// Of such wide rows fewer go through a column at a time; still wider ones do not stay in the cache.
TEST_P(BackendLinear, ARowsBitsDoNotDependOnTheRowsBesideIt_InWideRows) {
  for (const auto& [columns, rows] : {std::pair(8000, 200), std::pair(13000, 270)}) {
    const auto packed = backend_->pack(random_weight(DType::kI8, 16, columns));
    backend_->reserve(rows);
    const Tensor x = random({rows, columns}), all = Tensor::host(DType::kF32, {1, rows, 16}),
                 few = Tensor::host(DType::kF32, {1, 9, 16});
    linear(*backend_, x, *packed, all);
    for (int64_t row = 0; row + 9 <= rows; row += 9) {
      linear(*backend_, x.rows(row, row + 9), *packed, few);
      ASSERT_TRUE(same_bits(few.data<float>(), all.data<float>() + row * 16, few.numel())) << row;
    }
  }
}

// The shards [begin, end) of a weight cut at `cuts`, as a rank would load them.
LinearWeight shards_of(const LinearWeight& whole, const std::vector<int64_t>& cuts,
                       ShardRange run) {
  const int64_t out = whole.weight.dim(0), in = whole.weight.dim(1);
  const int64_t begin = cuts[run.begin], end = cuts[run.end];
  const size_t size = dtype_size(whole.weight.dtype());
  LinearWeight part;
  part.weight = Tensor::host(whole.weight.dtype(), {out, end - begin});
  for (int64_t row = 0; row < out; ++row) {
    std::copy_n(whole.weight.raw_data() + (row * in + begin) * size, (end - begin) * size,
                part.weight.raw_data() + row * (end - begin) * size);
  }
  part.scales = whole.scales;
  part.product = whole.product;
  part.outlier_threshold = whole.outlier_threshold;
  part.num_shards = static_cast<int>(cuts.size()) - 1;
  part.shards = run;
  for (int i = run.begin; i <= run.end; ++i) part.cuts.push_back(cuts[i] - begin);
  return part;
}

TEST_P(BackendLinear, RootsOfAnySplitFoldToTheBitsOfOneRank) {
  const int64_t in = 172;
  const auto even = [&](int shards) {
    std::vector<int64_t> cuts;
    for (int i = 0; i <= shards; ++i) cuts.push_back(balanced_cut(in, shards, i));
    return cuts;
  };
  const std::vector<std::vector<int64_t>> all_cuts{
      even(8), even(kMaxShards), {0, 40, 40, 41, 172}, {0, 32, 48, 64, 80, 96, 112, 172}};
  for (const auto& [dtype, out] :
       {std::pair(DType::kI8, 45), std::pair(DType::kI8, 64), std::pair(DType::kF32, 45)}) {
    LinearWeight whole = random_weight(dtype, out, in);
    whole.product = Int8Product::kLlmInt8;
    whole.outlier_threshold = 2.5f;
    for (const auto& cuts : all_cuts) {
      const int shards = static_cast<int>(cuts.size()) - 1;
      const int64_t rows = shards == kMaxShards || cuts[1] == cuts[2] ? 33 : 5;
      const Tensor x = random({rows, in});
      const Tensor expected = apply(*backend_, shards_of(whole, cuts, {0, shards}), x);
      ASSERT_EQ(expected.numel(), rows * out);
      for (int size = 2; size <= shards + 1; ++size) {
        std::vector<ShardRange> nodes;
        std::vector<std::vector<float>> slots;
        for (int rank = 0; rank < size; ++rank) {
          const ShardRange run = rank_shards(shards, rank, size);
          if (run.size() == 0) continue;
          const Tensor slice = Tensor::host(DType::kF32, {rows, cuts[run.end] - cuts[run.begin]});
          for (int64_t row = 0; row < rows; ++row) {
            std::copy_n(x.data<float>() + row * in + cuts[run.begin], slice.dim(1),
                        slice.data<float>() + row * slice.dim(1));
          }
          const Tensor roots = apply(*backend_, shards_of(whole, cuts, run), slice);
          for (const ShardRange root : subtree_roots(shards, run)) nodes.push_back(root);
          for (int64_t r = 0; r < roots.dim(0); ++r) {
            const float* from = roots.data<float>() + r * rows * out;
            slots.emplace_back(from, from + rows * out);
          }
        }
        for (const TreeAdd& add : fold_order(shards, {0, shards}, nodes)) {
          for (int64_t i = 0; i < rows * out; ++i) slots[add.target][i] += slots[add.source][i];
        }
        EXPECT_TRUE(same_bits(slots[0].data(), expected.data<float>(), rows * out))
            << size << " ranks";
      }
    }
  }
}

TEST_P(BackendLinear, NothingIsALegalSize) {
  const LinearWeight weight = random_weight(DType::kI8, 32, 16);
  apply(*backend_, weight, Tensor::host(DType::kF32, {0, 16}));
  LinearWeight none = random_weight(DType::kI8, 0, 16);
  EXPECT_EQ(apply(*backend_, none, random({3, 16})).numel(), 0);
  LinearWeight no_shards = random_weight(DType::kI8, 32, 0);
  no_shards.num_shards = 4;
  no_shards.shards = {4, 4};
  no_shards.cuts = {0};
  EXPECT_EQ(apply(*backend_, no_shards, Tensor::host(DType::kF32, {3, 0})).numel(), 0);
  LinearWeight no_columns = random_weight(DType::kI8, 32, 0);
  for (float& scale : no_columns.scales.span<float>()) scale = std::abs(scale);
  for (const int64_t rows : {3, 70}) {
    const Tensor out = apply(*backend_, no_columns, Tensor::host(DType::kF32, {rows, 0}));
    EXPECT_EQ(out.numel(), rows * 32);
    for (const float x : out.span<float>()) EXPECT_TRUE(x == 0.0f && !std::signbit(x)) << x;
  }
}

TEST_P(BackendLinear, ARowOfZerosGivesZeros) {
  const Tensor out =
      apply(*backend_, random_weight(DType::kI8, 20, 30), Tensor::host(DType::kF32, {2, 30}));
  for (const float x : out.span<float>()) EXPECT_EQ(x, 0.0f);
}

INSTANTIATE_TEST_SUITE_P(All, BackendLinear, ::testing::ValuesIn(testing::backend_cases()),
                         testing::case_name);

}  // namespace
}  // namespace octet
