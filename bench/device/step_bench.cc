// One rank of gpt3-175b at tp 8: the operations of its 96 layers and its slice of the head, on
// dummy weights, without the reduces; and rank 0's shortlists. The KV cache of a few layers stands
// for all: more than the caches hold.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "bench/device/timing.h"

namespace octet::bench {
namespace {

constexpr int kLayers = 96, kHidden = 12288, kHeads = 12, kDim = 128, kMlp = 6144, kBlock = 16;
constexpr int kWholeVocab = 50257, kVocab = kWholeVocab / 8, kContext = 2048, kCaches = 4;

struct Layer {
  std::unique_ptr<PackedLinear> qkv, output, up, down;
};

class Rank {
 public:
  Rank(Bench& bench, Int8Product product) : bench_(bench), backend_(*bench.backend) {
    const auto weight = [&](int64_t out, int64_t in, Activation activation) {
      LinearWeight w;
      w.weight = Tensor::host(DType::kI8, {out, in});
      int8_t value = 0;
      for (int8_t& x : w.weight.span<int8_t>()) x = value = static_cast<int8_t>(value * 5 + 3);
      w.scales = Tensor::host(DType::kF32, {out});
      for (float& scale : w.scales.span<float>()) scale = 1e-4f;
      w.product = product;
      w.activation = activation;
      return w;
    };
    const LinearWeight qkv = weight(3 * kHeads * kDim, kHidden, Activation::kNone),
                       output = weight(kHidden, kHeads * kDim, Activation::kNone),
                       up = weight(kMlp, kHidden, Activation::kGeluTanh),
                       down = weight(kHidden, kMlp, Activation::kNone);
    for (int i = 0; i < kLayers; ++i) {
      layers_.push_back(
          {backend_.pack(qkv), backend_.pack(output), backend_.pack(up), backend_.pack(down)});
    }
    LinearWeight head;
    head.weight = Tensor::host(DType::kBF16, {kVocab, kHidden});
    head_ = backend_.pack(head);
    backend_.reserve(kContext);
    const Tensor norm = Tensor::host(DType::kF32, {kHidden});
    std::ranges::fill(norm.span<float>(), 1.0f);
    for (int i = 0; i < 6; ++i) norm.data<float>()[i * kHidden / 6 + 17] = 20.0f;  // outliers
    norm_ = backend_.allocate(DType::kF32, {kHidden});
    backend_.upload(norm, norm_);
    norm_bias_ = backend_.allocate(DType::kF32, {kHidden});
  }

  // n rows: one of each of `seqs` sequences with kContext positions each, or the last n of one.
  double time(int n, int seqs) {
    const int blocks = kContext / kBlock;
    std::vector<KVCacheView> caches;
    for (int i = 0; i < kCaches; ++i) {
      const Shape shape{seqs * blocks, kHeads, kBlock, kDim};
      caches.push_back(
          {backend_.allocate(DType::kBF16, shape), backend_.allocate(DType::kBF16, shape)});
    }
    std::vector<int32_t> tables(seqs * blocks), cu(seqs + 1), slots(n), positions(n, kContext - 1);
    std::iota(tables.begin(), tables.end(), 0);
    for (int s = 0; s <= seqs; ++s) cu[s] = s * n / seqs;
    for (int i = 0; i < n; ++i) slots[i] = seqs == 1 ? i % kContext : i * kContext + kContext - 1;
    const Tensor cu_device = int32s(bench_, cu, {seqs + 1}),
                 lens = int32s(bench_, std::vector<int32_t>(seqs, kContext), {seqs}),
                 tables_device = int32s(bench_, tables, {seqs, blocks}),
                 slots_device = int32s(bench_, slots, {n}),
                 positions_device = int32s(bench_, positions, {n});
    const auto floats = [&](int64_t width) { return backend_.allocate(DType::kF32, {n, width}); };
    const Tensor residual = random_floats(bench_, {n, kHidden}), delta = floats(kHidden),
                 x = floats(kHidden), qkv = floats(3 * kHeads * kDim),
                 mixed = floats(kHeads * kDim), hidden = floats(kMlp),
                 sampled = backend_.allocate(DType::kF32, {seqs, kHidden}),
                 logits = backend_.allocate(DType::kF32, {1, seqs, kVocab});
    const ShortlistArgs shortlist{
        .logits = random_floats(bench_, {seqs, kWholeVocab}, 3),  // as gathered
        .inverse_temperatures = random_floats(bench_, {seqs}),
        .scored_tokens = backend_.allocate(DType::kI32, {seqs}),
        .out = backend_.allocate(DType::kU8, {seqs, sizeof(Shortlist)})};
    std::vector<int32_t> last(seqs);
    for (int s = 0; s < seqs; ++s) last[s] = cu[s + 1] - 1;
    const Tensor last_device = int32s(bench_, last, {seqs});
    const HeadRange heads{0, kHeads, 0, kHeads, 1};
    const auto linear = [&](const Tensor& in, const PackedLinear& weight, const Tensor& out) {
      backend_.linear(in, weight, out.reshape({1, n, out.dim(1)}));
    };
    const auto norm = [&](const PackedLinear* next) {
      backend_.add_norm({.residual = residual,
                         .delta = delta,
                         .weight = norm_,
                         .bias = norm_bias_,
                         .kind = NormKind::kLayer,
                         .out = x,
                         .next = next});
    };
    return seconds(bench_, [&] {
      for (int i = 0; i < kLayers; ++i) {
        const Layer& layer = layers_[i];
        const KVCacheView& cache = caches[i % kCaches];
        norm(layer.qkv.get());
        linear(x, *layer.qkv, qkv);
        backend_.rope_store({.qkv = qkv,
                             .positions = positions_device,
                             .slots = slots_device,
                             .style = RopeStyle::kNone,
                             .heads = heads,
                             .head_dim = kDim,
                             .cache = cache});
        backend_.attention({.qkv = qkv,
                            .cu_seqlens = cu_device,
                            .context_lens = lens,
                            .block_tables = tables_device,
                            .heads = heads,
                            .head_dim = kDim,
                            .scale = 0.088f,
                            .alibi_slopes = {},
                            .cache = cache,
                            .out = mixed});
        linear(mixed, *layer.output, delta);
        norm(layer.up.get());
        linear(x, *layer.up, hidden);
        linear(hidden, *layer.down, delta);
      }
      norm(nullptr);
      backend_.gather_rows(x, last_device, sampled);
      backend_.linear(sampled, *head_, logits);
      backend_.shortlist(shortlist);
    });
  }

 private:
  Bench& bench_;
  Backend& backend_;
  std::vector<Layer> layers_;
  std::unique_ptr<PackedLinear> head_;
  Tensor norm_, norm_bias_;
};

}  // namespace

void measure_step(Bench& bench) {
  for (const Int8Product product : {Int8Product::kW8A8, Int8Product::kLlmInt8}) {
    Rank rank(bench, product);
    const char* kind = product == Int8Product::kW8A8 ? "w8a8" : "llm_int8";
    for (const int batch : {1, 8, 32, 64}) {
      if (!bench.wants(batch)) continue;
      report(fmt::format("step.{}.b{}", kind, batch), rank.time(batch, batch) * 1e3, "ms");
    }
    if (!bench.wants(kContext)) continue;
    report(fmt::format("prefill.{}.2048", kind), rank.time(kContext, 1) * 1e3, "ms");
  }
}

}  // namespace octet::bench
