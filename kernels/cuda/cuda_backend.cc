#include "kernels/cuda/cuda_backend.h"

#include <fmt/format.h>

#include "kernels/check.h"
#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/cuda_linear.h"
#include "kernels/cuda/device_context.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/step_graphs.h"

namespace octet {
namespace {

using cuda::CudaLinear;
using cuda::DeviceContext;

// Room for the splits of decode rows, or the chunks of logits: calls with more go in several
// rounds.
constexpr int64_t kPartialFloats = int64_t{4} << 20, kMaxArrivals = 16'384;

int to_int(int64_t value) { return static_cast<int>(value); }

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(int device)
      : context_(std::make_shared<DeviceContext>(device)),
        partials_(context_->allocate(DType::kF32, {kPartialFloats})),
        arrivals_(context_->allocate(DType::kI32, {kMaxArrivals})) {}

  std::string name() const override { return fmt::format("cuda {}", context_->name()); }
  DeviceQueue queue() const override { return {context_->device(), stream()}; }

  Tensor allocate(DType dtype, Shape shape) override { return context_->allocate(dtype, shape); }
  void upload(const Tensor& host, const Tensor& device) override {
    require_equal_bytes(host, device);
    context_->upload(host.raw_data(), device.raw_data(), host.bytes());
  }
  void download(const Tensor& device, const Tensor& host) override {
    require_equal_bytes(device, host);
    context_->download(device.raw_data(), host.raw_data(), host.bytes());
  }
  void synchronize() override { context_->synchronize(); }
  void replay(uint64_t key, const std::function<void()>& operations) override {
    graphs_.run(key, operations, stream());
  }

  std::unique_ptr<PackedLinear> pack(const LinearWeight& weight) override {
    auto packed = std::make_unique<CudaLinear>(context_, weight);
    packed->layout().add_needs(needs_);
    return packed;
  }
  size_t reserve(int64_t max_rows) override {
    graphs_.clear();
    quantized_for_ = nullptr;
    context_->release_staging();
    scratch_ = cuda::make_scratch(
        needs_, max_rows, [this](DType dtype, Shape shape) { return allocate(dtype, shape); });
    return scratch_bytes(needs_, max_rows);
  }

  size_t available_bytes() const override { return context_->available_bytes(); }
  size_t allocated_bytes(size_t bytes) const override { return cuda::allocated_bytes(bytes); }
  size_t packed_bytes(const LinearShape& weight) const override {
    return cuda::LinearLayout(weight).bytes();
  }
  size_t scratch_bytes(std::span<const LinearShape> weights, int64_t max_rows) const override {
    cuda::LinearNeeds needs;
    for (const LinearShape& weight : weights) cuda::LinearLayout(weight).add_needs(needs);
    return scratch_bytes(needs, max_rows);
  }

  void embed(const Tensor& ids, const Tensor& table, int32_t first_id, const Tensor& out) override;
  void embed(const Tensor& ids, const PackedLinear& table, int32_t first_id,
             const Tensor& out) override {
    embed(ids, static_cast<const CudaLinear&>(table).weight(), first_id, out);
  }
  void add_norm(const AddNormArgs& args) override;
  void linear(const Tensor& x, const PackedLinear& weight, const Tensor& out) override {
    const bool ready = quantized_for_ == &weight;
    quantized_for_ = nullptr;
    static_cast<const CudaLinear&>(weight).apply(scratch_, x, ready, out);
  }
  void rope_store(const RopeStoreArgs& args) override;
  void attention(const AttentionArgs& args) override;
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) override {
    cuda::gather_rows(x.data<float>(), rows.data<int32_t>(), to_int(rows.numel()), to_int(x.dim(1)),
                      out.data<float>(), stream());
  }
  void shortlist(const ShortlistArgs& args) override;

 private:
  static void require_equal_bytes(const Tensor& from, const Tensor& to) {
    OCTET_CHECK(from.bytes() == to.bytes(), "{} bytes to {}", from.bytes(), to.bytes());
  }
  cudaStream_t stream() const { return context_->stream(); }
  size_t scratch_bytes(const cuda::LinearNeeds& needs, int64_t max_rows) const;

  std::shared_ptr<DeviceContext> context_;
  cuda::LinearNeeds needs_;
  cuda::LinearScratch scratch_;
  const PackedLinear* quantized_for_ = nullptr;  // scratch_ holds the input of its next product
  Tensor partials_, arrivals_;                   // of attention; partials_ of shortlist too
  cuda::StepGraphs graphs_;
};

size_t CudaBackend::scratch_bytes(const cuda::LinearNeeds& needs, int64_t max_rows) const {
  size_t bytes = allocated_bytes(partials_.bytes()) + allocated_bytes(arrivals_.bytes());
  cuda::make_scratch(needs, max_rows, [&](DType dtype, Shape shape) {
    bytes += allocated_bytes(static_cast<size_t>(shape.numel()) * dtype_size(dtype));
    return Tensor();
  });
  return bytes;
}

void CudaBackend::embed(const Tensor& ids, const Tensor& table, int32_t first_id,
                        const Tensor& out) {
  cuda::embed({.n = to_int(ids.numel()),
               .h = to_int(out.dim(1)),
               .ids = ids.data<int32_t>(),
               .table = table.raw_data(),
               .dtype = table.dtype(),
               .rows = table.dim(0),
               .first_id = first_id,
               .out = out.data<float>()},
              stream());
}

void CudaBackend::add_norm(const AddNormArgs& args) {
  const cuda::NormCall call{.n = to_int(args.residual.dim(0)),
                            .h = to_int(args.residual.dim(1)),
                            .residual = args.residual.data<float>(),
                            .delta = args.delta.data<float>(),
                            .delta_bias = args.delta_bias.data<float>(),
                            .weight = args.out.empty() ? nullptr : args.weight.data<float>(),
                            .bias = args.bias.data<float>(),
                            .eps = args.eps,
                            .kind = args.kind,
                            .out = args.out.data<float>()};
  OCTET_CHECK(call.h <= cuda::kWidestNorm, "a norm of {}", call.h);
  OCTET_CHECK(args.unfolded.empty(), "{} roots to fold", args.unfolded.roots.size());
  OCTET_CHECK(!args.rows, "{} of {} rows", args.rows->size(), args.residual.dim(0));
  const auto* next = static_cast<const CudaLinear*>(args.next);
  if (next != nullptr && next->quantized() && next->in_features() == call.h &&
      next->layout().call.num_leaves == 1 && call.n <= scratch_.max_rows) {
    cuda::add_norm_quantized(call, next->quantizer(scratch_, call.n), stream());
    quantized_for_ = next;
  } else {
    cuda::add_norm(call, stream());
  }
}

void CudaBackend::rope_store(const RopeStoreArgs& args) {
  cuda::rope_store({.n = to_int(args.positions.numel()),
                    .num_q = args.heads.num_q(),
                    .num_kv = args.heads.num_kv(),
                    .head_dim = args.head_dim,
                    .rotary = args.style == RopeStyle::kNone ? 0 : to_int(args.cos_sin.dim(1)),
                    .block_size = to_int(args.cache.k.dim(2)),
                    .style = args.style,
                    .qkv = args.qkv.data<float>(),
                    .q_norm = args.q_norm.data<float>(),
                    .k_norm = args.k_norm.data<float>(),
                    .norm_eps = args.norm_eps,
                    .positions = args.positions.data<int32_t>(),
                    .slots = args.slots.data<int32_t>(),
                    .cos_sin = args.cos_sin.data<float>(),
                    .k = args.cache.k.raw_data(),
                    .v = args.cache.v.raw_data(),
                    .k_scales = args.cache.k_scales.data<float>(),
                    .v_scales = args.cache.v_scales.data<float>(),
                    .cache_dtype = args.cache.k.dtype()},
                   stream());
}

void CudaBackend::attention(const AttentionArgs& args) {
  cuda::attention({.n = to_int(args.out.dim(0)),
                   .num_seqs = to_int(args.context_lens.numel()),
                   .qkv = args.qkv.data<float>(),
                   .cu_seqlens = args.cu_seqlens.data<int32_t>(),
                   .context_lens = args.context_lens.data<int32_t>(),
                   .block_tables = args.block_tables.data<int32_t>(),
                   .max_blocks = to_int(args.block_tables.dim(1)),
                   .num_q = args.heads.num_q(),
                   .num_kv = args.heads.num_kv(),
                   .head_dim = args.head_dim,
                   .q_begin = args.heads.q_begin,
                   .kv_begin = args.heads.kv_begin,
                   .group = args.heads.group,
                   .scale = args.scale,
                   .sliding_window = args.sliding_window,
                   .alibi_slopes = args.alibi_slopes.data<float>(),
                   .k = args.cache.k.raw_data(),
                   .v = args.cache.v.raw_data(),
                   .k_scales = args.cache.k_scales.data<float>(),
                   .v_scales = args.cache.v_scales.data<float>(),
                   .cache_dtype = args.cache.k.dtype(),
                   .block_size = to_int(args.cache.k.dim(2)),
                   .out = args.out.data<float>(),
                   .partials = partials_.data<float>(),
                   .partial_floats = kPartialFloats,
                   .arrivals = arrivals_.data<unsigned>(),
                   .max_arrivals = kMaxArrivals},
                  stream());
}

void CudaBackend::shortlist(const ShortlistArgs& args) {
  cuda::shortlist({.m = to_int(args.logits.dim(0)),
                   .vocab_size = to_int(args.logits.dim(1)),
                   .logits = args.logits.data<float>(),
                   .inverse_temperatures = args.inverse_temperatures.data<float>(),
                   .scored_tokens = args.scored_tokens.data<int32_t>(),
                   .out = reinterpret_cast<Shortlist*>(args.out.raw_data()),
                   .scratch = partials_.raw_data(),
                   .scratch_bytes = static_cast<int64_t>(partials_.bytes())},
                  stream());
}

}  // namespace

bool cuda_built() { return true; }

int cuda_device_count() { return cuda::device_count(); }

std::unique_ptr<Backend> make_cuda_backend(int device) {
  return std::make_unique<CudaBackend>(device);
}

}  // namespace octet
