#include "kernels/cuda/cuda_linear.h"

#include <algorithm>
#include <vector>

#include "kernels/check.h"
#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/pack.h"

namespace octet::cuda {
namespace {

constexpr size_t kStagedBytes = size_t{32} << 20;

}  // namespace

LinearScratch make_scratch(const LinearNeeds& needs, int64_t max_rows,
                           const std::function<Tensor(DType, Shape)>& allocate) {
  return {.max_rows = max_rows,
          .low = allocate(DType::kI8, {max_rows, needs.padded_in}),
          .high = allocate(DType::kI8, {max_rows, needs.padded_in}),
          .spans = allocate(DType::kU8, {max_rows, span_stride(needs.padded_in)}),
          .row_scales = allocate(DType::kF32, {max_rows, needs.leaves}),
          .outliers = allocate(DType::kI32, {max_rows, needs.leaves}),
          .sums = allocate(DType::kI32, {needs.sums}),
          .arrivals = allocate(DType::kI32, {needs.arrivals})};
}

CudaLinear::CudaLinear(std::shared_ptr<DeviceContext> context, const LinearWeight& weight)
    : context_(std::move(context)), dtype_(weight.weight.dtype()), layout_(shape_of(weight)) {
  in_features_ = weight.weight.dim(1);
  const LinearCall& call = int8_call_ = layout_.call;
  out_features_ = call.out_features;
  num_roots_ = call.num_roots;
  FloatLinearCall& plain = float_call_;
  QuantizeCall& quantize = quantize_call_;
  std::ranges::copy(layout_.begin, plain.begin);
  std::ranges::copy(layout_.begin, quantize.begin);
  std::ranges::copy(call.place, quantize.place);
  std::ranges::copy(call.first_leaf, plain.first_leaf);
  plain.num_leaves = quantize.num_leaves = call.num_leaves;
  plain.num_roots = call.num_roots;
  plain.out_features = call.out_features;
  plain.activation = call.activation;
  plain.in = quantize.in = static_cast<int>(in_features_);
  plain.dtype = dtype_;
  quantize.padded_in = call.padded_in;
  quantize.mixed = call.mixed;
  quantize.outlier_threshold = weight.outlier_threshold;
  if (quantized()) {
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
  bytes_ = layout_.bytes();
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
  std::byte* staged = context_->staging(static_cast<size_t>(rows_at_once * in_features_));
  PackCall pack{.rows = reinterpret_cast<int8_t*>(staged),
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
    context_->upload(weight.weight.data<int8_t>() + row * in_features_, staged,
                     static_cast<size_t>(pack.count * in_features_));
    pack_rows(pack, context_->stream());
  }
}

void CudaLinear::apply(const LinearScratch& scratch, const Tensor& x, bool ready,
                       const Tensor& out) const {
  OCTET_CHECK(x.dim(1) == in_features_ && out.numel() == num_roots_ * x.dim(0) * out_features_ &&
                  (!quantized() || x.dim(0) <= scratch.max_rows),
              "x {}, out {}, {} roots, room for {} rows", x.shape().to_string(),
              out.shape().to_string(), num_roots_, scratch.max_rows);
  if (out.numel() == 0) return;
  if (quantized()) {
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
