// The backend contract suite: shortlists, against a full sort and sums in double.
#include <bit>
#include <cstring>
#include <numeric>

#include "tests/kernels/backend_fixture.h"

namespace octet {
namespace {

using testing::kInfinity;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

class BackendShortlist : public testing::BackendTest {
 protected:
  // Of each row of `logits`, [m, vocab_size].
  std::vector<Shortlist> of(const Tensor& logits, const std::vector<float>& inverse_temperatures,
                            std::vector<int32_t> scored_tokens = {}) {
    const int64_t m = logits.dim(0);
    scored_tokens.resize(static_cast<size_t>(m), -1);
    const Tensor out = Tensor::host(DType::kU8, {m, static_cast<int64_t>(sizeof(Shortlist))});
    std::fill_n(out.raw_data(), out.bytes(), std::byte{0x77});
    {
      testing::OnDevice on(*backend_);
      const auto view = [&](const auto& values, DType dtype) {
        return on(
            Tensor::view(const_cast<void*>(static_cast<const void*>(values.data())), dtype, {m}));
      };
      backend_->shortlist({.logits = on(logits),
                           .inverse_temperatures = view(inverse_temperatures, DType::kF32),
                           .scored_tokens = view(scored_tokens, DType::kI32),
                           .out = on(out)});
    }
    std::vector<Shortlist> lists(static_cast<size_t>(m));
    std::memcpy(lists.data(), out.raw_data(), out.bytes());
    return lists;
  }

  static void expect_right(const Shortlist& list, std::span<const float> logits, float inverse) {
    std::vector<int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::ranges::sort(ids, [&](int32_t a, int32_t b) {
      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    });
    double sum = 0, mass = 0;
    for (const float logit : logits) {
      sum += std::exp(double{logit} - logits[ids[0]]);
      mass += inverse == 0 ? 0 : std::exp((double{logit} - logits[ids[0]]) * inverse);
    }
    EXPECT_NEAR(list.sum, sum, 1e-6 * sum);
    EXPECT_NEAR(list.mass, mass, 2e-6 * mass);
    const auto most = static_cast<size_t>(inverse == 0 ? 1 : kShortlist);
    ASSERT_EQ(list.size, static_cast<int32_t>(std::min(most, ids.size())));
    for (int i = 0; i < kShortlist; ++i) {
      ASSERT_EQ(list.ids[i], i < list.size ? ids[i] : -1) << i;
      ASSERT_EQ(list.logits[i], i < list.size ? logits[ids[i]] : -kInfinity) << i;
    }
  }

  // One row alone, at several temperatures.
  void expect_right_alone(const std::vector<float>& logits) {
    const Tensor row = Tensor::host(DType::kF32, {1, static_cast<int64_t>(logits.size())});
    std::ranges::copy(logits, row.data<float>());
    for (const float inverse : {0.0f, 1.0f, 1.4f})
      expect_right(of(row, {inverse})[0], logits, inverse);
  }
};

TEST_P(BackendShortlist, IsTheHeadOfAFullSort_AtAnyWidth) {
  for (const int64_t width : {1, 5, 63, 64, 65, 150, 1000, 4096, 4097, 12'289, 50'257}) {
    const Tensor logits = random({4, width}, 3);
    const std::vector<float> inverses{1, 0, 1 / 0.7f, 0.3f};
    const std::vector<Shortlist> lists = of(logits, inverses, {-1, 0, static_cast<int>(width) - 1});
    for (size_t i = 0; i < inverses.size(); ++i) {
      const auto row = logits.span<float>().subspan(i * width, width);
      SCOPED_TRACE(width);
      expect_right(lists[i], row, inverses[i]);
      EXPECT_EQ(lists[i].scored_logit, i == 1 ? row[0] : i == 2 ? row[width - 1] : -kInfinity);
    }
  }
}

TEST_P(BackendShortlist, TheLowerIdComesFirstAmongEquals) {
  std::vector<float> logits(9'000);
  for (float& logit : logits) logit = static_cast<float>(generator_() % 7) - 3;
  expect_right_alone(logits);
  std::ranges::fill(logits, -2.5f);
  expect_right_alone(logits);
  for (float& logit : logits) logit = generator_() % 2 == 0 ? 0.0f : -0.0f;
  expect_right_alone(logits);
}

TEST_P(BackendShortlist, FindsThemWhereverTheyAre) {
  std::vector<float> logits(9'000);
  std::iota(logits.begin(), logits.end(), -4000.0f);
  expect_right_alone(logits);
  std::ranges::reverse(logits);
  expect_right_alone(logits);
  for (size_t i = 0; i < logits.size(); ++i) {  // all in few columns
    logits[i] = static_cast<float>(i * 7919 % 9'000) * 1e-3f + (i % 256 < 5 ? 100.0f : 0.0f);
  }
  expect_right_alone(logits);
}

TEST_P(BackendShortlist, TokensOfMinusInfinityComeLastAndAddNothing) {
  std::vector<float> logits(13'000, -kInfinity);
  for (const size_t id : {12'999, 5, 4'096, 700, 6'000})
    logits[id] = static_cast<float>(id) * 1e-3f;
  expect_right_alone(logits);
}

TEST_P(BackendShortlist, ARowThatIsNotFiniteHasNoSum_AndItsNeighboursHave) {
  for (const int64_t width : {3, 9'000}) {
    const float payload = std::bit_cast<float>(0x7FC001FFu);
    for (const float bad : {kNaN, -kNaN, payload, kInfinity}) {
      for (const int64_t place : {int64_t{0}, width / 2, width - 1}) {
        const Tensor logits = random({3, width});
        logits.data<float>()[width + place] = bad;
        const std::vector<float> inverses{0.5f, place == 0 ? 0.0f : 2.0f, 0};
        const std::vector<Shortlist> lists = of(logits, inverses);
        EXPECT_FALSE(std::isfinite(lists[1].sum)) << bad << " at " << place;
        expect_right(lists[0], logits.span<float>().first(width), inverses[0]);
        expect_right(lists[2], logits.span<float>().last(width), inverses[2]);
      }
    }
    const Tensor logits = random({1, width});
    std::ranges::fill(logits.span<float>(), -kInfinity);
    EXPECT_FALSE(std::isfinite(of(logits, {1})[0].sum));
  }
}

TEST_P(BackendShortlist, RowsAreAlone) {
  for (const int64_t width : {150, 9'001}) {
    const Tensor logits = random({40, width}, 2);
    std::vector<float> inverses(40);
    for (size_t i = 0; i < inverses.size(); ++i) inverses[i] = static_cast<float>(i % 5) * 0.7f;
    const std::vector<Shortlist> together = of(logits, inverses);
    for (int64_t i = 0; i < 40; ++i) {
      const std::vector<Shortlist> alone = of(logits.rows(i, i + 1), {inverses[i]});
      EXPECT_EQ(std::memcmp(&alone[0], &together[i], sizeof(Shortlist)), 0) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, BackendShortlist, ::testing::ValuesIn(testing::backend_cases()),
                         testing::case_name);

}  // namespace
}  // namespace octet
