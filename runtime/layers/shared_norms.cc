#include "runtime/layers/shared_norms.h"

#include <algorithm>

#include "kernels/reduction_tree.h"
#include "runtime/layers/reduce_timer.h"

namespace octet {
namespace {

// A rank's rows at least: fewer are not worth a meeting.
constexpr int64_t kLeastRows = 2;

RowRange rows_of(const Step& step, int rank) {
  const int64_t n = step.num_tokens(), size = step.comm.size();
  return {balanced_cut(n, size, rank), balanced_cut(n, size, rank + 1)};
}

std::span<const float* const> show(Step& step, std::span<const float> own) {
  const ReduceTimer timer(step.reduce_seconds);
  return step.comm.show(own);
}

}  // namespace

bool can_share_norms(const Step& step) {
  return step.comm.size() > 1 && step.comm.shows() && step.backend.has_ready_rows() &&
         step.backend.queue().device < 0 && step.probe == nullptr &&
         step.num_tokens() >= kLeastRows * step.comm.size();
}

RowRange own_rows(const Step& step) { return rows_of(step, step.comm.rank()); }

void share_ready_rows(Step& step, const Tensor& x, const PackedLinear& next) {
  const size_t row_bytes = step.backend.ready_row_bytes(next);
  const RowRange own = own_rows(step);
  const size_t bytes = static_cast<size_t>(own.size()) * row_bytes;
  // Half of the rows, or one more, by less than 2.5 bytes a column: a reduce needs more.
  const std::span<float> to = step.comm.send_buffer((bytes + sizeof(float) - 1) / sizeof(float));
  step.backend.copy_ready_rows(x, next, own, reinterpret_cast<std::byte*>(to.data()));
  const std::span<const float* const> shown = show(step, to);
  for (int peer = 0; peer < step.comm.size(); ++peer) {
    if (peer == step.comm.rank()) continue;
    step.backend.take_ready_rows(x, next, rows_of(step, peer),
                                 reinterpret_cast<const std::byte*>(shown[peer]));
  }
}

void share_sampled_rows(Step& step, const Tensor& x, const Tensor& sampled) {
  const int64_t count = sampled.dim(0), h = sampled.dim(1);
  const std::span<const int32_t> rows = step.input.sampled_rows.span<const int32_t>();
  const auto each_of = [&](RowRange range, const auto& copy) {
    for (int64_t i = 0; i < count; ++i) {
      if (rows[i] >= range.begin && rows[i] < range.end) copy(i, rows[i]);
    }
  };
  const std::span<float> to = step.comm.send_buffer(static_cast<size_t>(count * h));
  each_of(own_rows(step), [&](int64_t i, int64_t row) {
    std::copy_n(x.data<float>() + row * h, h, to.data() + i * h);
  });
  const std::span<const float* const> shown = show(step, to);
  for (int peer = 0; peer < step.comm.size(); ++peer) {
    each_of(rows_of(step, peer), [&](int64_t i, int64_t) {
      std::copy_n(shown[peer] + i * h, h, sampled.data<float>() + i * h);
    });
  }
}

}  // namespace octet
