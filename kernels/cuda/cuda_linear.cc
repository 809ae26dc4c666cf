#include "kernels/cuda/cuda_linear.h"

#include <algorithm>
#include <vector>

#include "kernels/check.h"
#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/pack.h"

namespace octet::cuda {
namespace {

constexpr size_t kStagedBytes = size_t{32} << 20;

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

size_t LinearScratch::bytes() const {
  size_t total = 0;
  for (const Tensor* t : {&low, &high, &spans, &row_scales, &outliers, &sums, &arrivals}) {
    total += t->bytes();
  }
  return total;
}

CudaLinear::CudaLinear(std::shared_ptr<DeviceContext> context, const LinearWeight& weight)
    : context_(std::move(context)),
      dtype_(weight.weight.dtype()),
      quantized_(dtype_ == DType::kI8 && weight.product != Int8Product::kW8A16) {
  const bool gated = weight.activation == Activation::kSiluGate;
  const int64_t rows = weight.weight.dim(0);
  in_features_ = weight.weight.dim(1);
  out_features_ = gated ? rows / 2 : rows;
  const std::vector<int64_t> cuts =
      weight.cuts.empty() ? std::vector<int64_t>{0, in_features_} : weight.cuts;
  const int leaves = weight.shards.size();
  OCTET_CHECK(static_cast<int>(cuts.size()) == leaves + 1 && leaves <= kMaxShards &&
                  cuts.back() == in_features_,
              "{} cuts to {}, {} shards, {} inputs", cuts.size(), cuts.back(), leaves,
              in_features_);
  LinearCall& call = int8_call_;
  FloatLinearCall& plain = float_call_;
  QuantizeCall& quantize = quantize_call_;
  for (int l = 0; l < leaves; ++l) {
    const int64_t length = cuts[l + 1] - cuts[l];
    OCTET_CHECK(dtype_ != DType::kI8 || length <= kMaxInt8Columns, "a shard of {} columns", length);
    plain.begin[l + 1] = quantize.begin[l + 1] = static_cast<int>(cuts[l + 1]);
    call.place[l + 1] = quantize.place[l + 1] =
        call.place[l] + static_cast<int>(round_up(length, kSpan));
  }
  const std::vector<ShardRange> roots = subtree_roots(weight.num_shards, weight.shards);
  num_roots_ = static_cast<int>(roots.size());
  for (int r = 0; r < num_roots_; ++r) {
    call.first_leaf[r] = plain.first_leaf[r] = roots[r].begin - weight.shards.begin;
    call.first_leaf[r + 1] = plain.first_leaf[r + 1] = roots[r].end - weight.shards.begin;
  }
  OCTET_CHECK(weight.bias.empty() || (num_roots_ == 1 && leaves == weight.num_shards),
              "a bias on {} of {} shards", leaves, weight.num_shards);
  call.num_leaves = plain.num_leaves = quantize.num_leaves = leaves;
  call.num_roots = plain.num_roots = num_roots_;
  call.out_features = plain.out_features = static_cast<int>(out_features_);
  call.activation = plain.activation = weight.activation;
  call.rows = static_cast<int>(rows);
  call.padded_rows = static_cast<int>(round_up(rows, kRowAlign));
  call.padded_in = quantize.padded_in = call.place[leaves];
  plain.in = quantize.in = static_cast<int>(in_features_);
  plain.dtype = dtype_;
  call.mixed = quantize.mixed = weight.product == Int8Product::kLlmInt8;
  quantize.outlier_threshold = weight.outlier_threshold;
  if (quantized_) {
    pack_int8(weight);
  } else {
    const auto to_device = [&](const Tensor& host) {
      if (host.empty()) return Tensor();
      const Tensor device = context_->allocate(host.dtype(), host.shape());
      context_->upload(host.raw_data(), device.raw_data(), host.bytes());
      return device;
    };
    weight_ = to_device(weight.weight);
    scales_ = to_device(weight.scales);
    bias_ = to_device(weight.bias);
    plain.weight = weight_.raw_data();
    plain.scales = scales_.data<float>();
    plain.bias = bias_.data<float>();
  }
  bytes_ = weight_.bytes() + scales_.bytes() + bias_.bytes() + total_outliers_.bytes();
}

Tensor CudaLinear::permuted(const Tensor& values) const {
  const Tensor host = Tensor::host(DType::kF32, {int8_call_.padded_rows});
  const int gates =
      int8_call_.activation == Activation::kSiluGate ? static_cast<int>(out_features_) : 0;
  for (int row = 0; row < int8_call_.rows; ++row) {
    host.data<float>()[packed_row(row, gates)] = values.data<float>()[row];
  }
  const Tensor device = context_->allocate(DType::kF32, host.shape());
  context_->upload(host.raw_data(), device.raw_data(), host.bytes());
  return device;
}

void CudaLinear::pack_int8(const LinearWeight& weight) {
  LinearCall& call = int8_call_;
  weight_ = context_->allocate(DType::kI8, {call.padded_in, call.padded_rows});
  scales_ = permuted(weight.scales);
  if (!weight.bias.empty()) bias_ = permuted(weight.bias);
  call.weight = weight_.data<int8_t>();
  call.scales = scales_.data<float>();
  call.bias = bias_.data<float>();
  if (call.mixed) {
    total_outliers_ = context_->allocate(DType::kI64, {1});
    quantize_call_.total_outliers = total_outliers_.data<unsigned long long>();
  }
  if (in_features_ == 0 || call.rows == 0) return;
  const int64_t rows_at_once =
      std::clamp<int64_t>(static_cast<int64_t>(kStagedBytes) / in_features_, 1, call.rows);
  const Tensor staged = context_->allocate(DType::kI8, {rows_at_once, in_features_});
  PackCall pack{.rows = staged.data<int8_t>(),
                .in = static_cast<int>(in_features_),
                .padded_in = call.padded_in,
                .padded_rows = call.padded_rows,
                .gates = call.activation == Activation::kSiluGate ? call.out_features : 0,
                .num_leaves = call.num_leaves,
                .packed = weight_.data<int8_t>()};
  std::copy_n(quantize_call_.begin, kMaxShards + 1, pack.begin);
  std::copy_n(call.place, kMaxShards + 1, pack.place);
  for (int64_t row = 0; row < call.rows; row += rows_at_once) {
    pack.first = static_cast<int>(row);
    pack.count = static_cast<int>(std::min(rows_at_once, call.rows - row));
    context_->upload(weight.weight.data<int8_t>() + row * in_features_, staged.raw_data(),
                     static_cast<size_t>(pack.count * in_features_));
    pack_rows(pack, context_->stream());
  }
  context_->synchronize();  // `staged` goes
}

void CudaLinear::add_needs(LinearNeeds& needs) const {
  if (!quantized_) return;
  needs.padded_in = std::max<int64_t>(needs.padded_in, int8_call_.padded_in);
  needs.leaves = std::max<int64_t>(needs.leaves, int8_call_.num_leaves);
  needs.sums = std::max(needs.sums, few_rows_sums(int8_call_));
  needs.arrivals = std::max(needs.arrivals, few_rows_arrivals(int8_call_));
}

void CudaLinear::apply(const LinearScratch& scratch, const Tensor& x, bool ready,
                       const Tensor& out) const {
  OCTET_CHECK(x.dim(1) == in_features_ && out.numel() == num_roots_ * x.dim(0) * out_features_ &&
                  (!quantized_ || x.dim(0) <= scratch.max_rows),
              "x {}, out {}, {} roots, room for {} rows", x.shape().to_string(),
              out.shape().to_string(), num_roots_, scratch.max_rows);
  if (out.numel() == 0) return;
  if (quantized_) {
    apply_int8(scratch, x, ready, out);
    return;
  }
  FloatLinearCall call = float_call_;
  call.n = static_cast<int>(x.dim(0));
  call.x = x.data<float>();
  call.out = out.data<float>();
  float_linear(call, context_->stream());
}

QuantizeCall CudaLinear::quantizer(const LinearScratch& scratch, int64_t n) const {
  QuantizeCall call = quantize_call_;
  call.n = static_cast<int>(n);
  call.low = scratch.low.data<int8_t>();
  call.high = scratch.high.data<int8_t>();
  call.spans = scratch.spans.data<uint8_t>();
  call.row_scales = scratch.row_scales.data<float>();
  call.outliers = scratch.outliers.data<int32_t>();
  return call;
}

void CudaLinear::apply_int8(const LinearScratch& scratch, const Tensor& x, bool ready,
                            const Tensor& out) const {
  QuantizeCall rows = quantizer(scratch, x.dim(0));
  rows.x = x.data<float>();
  if (!ready) quantize_rows(rows, context_->stream());
  LinearCall call = int8_call_;
  call.n = rows.n;
  call.low = rows.low;
  call.high = rows.high;
  call.spans = rows.spans;
  call.row_scales = rows.row_scales;
  call.outliers = rows.outliers;
  call.sums = scratch.sums.data<int32_t>();
  call.arrivals = scratch.arrivals.data<unsigned>();
  call.out = out.data<float>();
  for (const LinearKernel& kernel : linear_kernels()) {
    if (!kernel.accepts(call)) continue;
    kernel.run(call, context_->stream());
    return;
  }
}

uint64_t CudaLinear::outliers() const {
  if (total_outliers_.empty()) return 0;
  uint64_t total = 0;
  context_->download(total_outliers_.raw_data(), &total, sizeof total);
  return total;
}

}  // namespace octet::cuda
