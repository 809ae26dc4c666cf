// The backend contract suite: rows that several back ends make ready for one product.
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "tests/kernels/backend_fixture.h"

namespace octet {
namespace {

class BackendReadyRows : public testing::BackendTest {
 protected:
  static constexpr int64_t kOutputs = 40;

  // A rank: its back end, its packed weight, and its stream, of which it knows its own rows alone.
  struct Maker {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<PackedLinear> packed;
    Tensor residual, out;
    RowRange rows;
  };

  Maker make(const LinearWeight& weight, const Tensor& residual, RowRange rows) {
    const testing::BackendCase& c = GetParam();
    Maker maker{.backend = make_backend({.device = c.device, .isa = c.isa, .threads = c.threads}),
                .packed = nullptr,
                .residual = copy(residual),
                .out = random(residual.shape()),
                .rows = rows};
    maker.packed = maker.backend->pack(weight);
    maker.backend->reserve(residual.dim(0));
    return maker;
  }

  static Tensor product(const Maker& maker) {
    const Tensor out = Tensor::host(DType::kF32, {1, maker.out.dim(0), kOutputs});
    maker.backend->linear(maker.out, *maker.packed, out);
    return out;
  }

  static bool same(const Tensor& a, const Tensor& b) {
    return same_bits(a.data<float>(), b.data<float>(), a.numel());
  }
};

TEST_P(BackendReadyRows, AreTheRowsThatOneBackEndMakes) {
  if (GetParam().device != "cpu") {  // these make all of their rows themselves, and say so
    EXPECT_FALSE(backend_->has_ready_rows());
    const Tensor rows = random({9, 16});
    EXPECT_DEATH(backend_->add_norm({.residual = rows, .out = rows, .rows = RowRange{0, 4}}),
                 "4 of 9 rows");
    const auto packed = backend_->pack(random_weight(DType::kF32, kOutputs, 16));
    EXPECT_DEATH(backend_->ready_row_bytes(*packed), "has no ready rows");
    return;
  }
  ASSERT_TRUE(backend_->has_ready_rows());
  struct Case {
    DType dtype;
    Int8Product product;
    int64_t rows, h;
    std::vector<int64_t> cuts;  // of the rows
  };
  const std::vector<Case> cases = {
      {DType::kI8, Int8Product::kLlmInt8, 9, 140, {0, 4, 9}},
      {DType::kI8, Int8Product::kLlmInt8, 70, 2051, {0, 1, 40, 70}},
      {DType::kI8, Int8Product::kLlmInt8, 40, 16, {0, 20, 40}},  // some rows without outliers
      {DType::kI8, Int8Product::kW8A8, 33, 140, {0, 16, 33}},
      {DType::kI8, Int8Product::kW8A16, 5, 33, {0, 2, 5}},
      {DType::kBF16, Int8Product::kLlmInt8, 5, 33, {0, 0, 5}},
  };
  for (const Case& c : cases) {
    LinearWeight weight = random_weight(c.dtype, kOutputs, c.h);
    weight.product = c.product;
    weight.outlier_threshold = 3;  // of some rows
    const Tensor residual = random({c.rows, c.h}), norm = random({c.h});
    const Maker alone = make(weight, residual, {0, c.rows});
    std::vector<Maker> makers;
    for (size_t i = 0; i + 1 < c.cuts.size(); ++i) {
      makers.push_back(make(weight, residual, {c.cuts[i], c.cuts[i + 1]}));
    }
    // Twice: then outliers lie in other places than those that the first time left.
    for (int round = 0; round < 2; ++round) {
      const Tensor delta = random({c.rows, c.h});
      const auto add_norm = [&](const Maker& maker, std::optional<RowRange> rows) {
        maker.backend->add_norm({.residual = maker.residual,
                                 .delta = delta,
                                 .weight = norm,
                                 .out = maker.out,
                                 .next = maker.packed.get(),
                                 .rows = rows});
      };
      add_norm(alone, std::nullopt);
      const Tensor expected = product(alone);

      std::vector<std::vector<std::byte>> ready;
      for (const Maker& maker : makers) {
        add_norm(maker, maker.rows);
        const size_t bytes = maker.backend->ready_row_bytes(*maker.packed);
        ready.emplace_back(static_cast<size_t>(maker.rows.size()) * bytes);
        maker.backend->copy_ready_rows(maker.out, *maker.packed, maker.rows, ready.back().data());
        for (int64_t row = 0; row < c.rows; ++row) {
          const bool own = maker.rows.begin <= row && row < maker.rows.end;
          EXPECT_TRUE(same(maker.residual.rows(row, row + 1),
                           (own ? alone.residual : residual).rows(row, row + 1)))
              << "row " << row << " of " << c.rows << ", own: " << own;
        }
      }
      for (const Maker& maker : makers) {
        for (size_t i = 0; i < makers.size(); ++i) {
          if (&makers[i] == &maker) continue;
          maker.backend->take_ready_rows(maker.out, *maker.packed, makers[i].rows, ready[i].data());
        }
        EXPECT_TRUE(same(product(maker), expected))
            << c.rows << " x " << c.h << ", rows from " << maker.rows.begin;
        EXPECT_EQ(maker.packed->outliers(), alone.packed->outliers());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, BackendReadyRows, ::testing::ValuesIn(testing::backend_cases()),
                         testing::case_name);

}  // namespace
}  // namespace octet
