#include "bench/kernels.h"

#include <fmt/format.h>

#include <array>
#include <memory>
#include <numeric>
#include <regex>
#include <vector>

#include "bench/reporter.h"
#include "kernels/fold.h"

namespace octet::bench {
namespace {

constexpr int64_t kMostRows = 512;
constexpr int kBlockSize = 16;

struct LinearShape {
  const char* name;
  int64_t in, out;
  Activation activation = Activation::kNone;
  int shards = 1;
};

constexpr LinearShape kLinears[] = {
    {"4096x4096", 4096, 4096},
    {"135m/qkv", 576, 960},
    {"135m/o", 576, 576, Activation::kNone, 3},
    {"135m/gate_up", 576, 3072, Activation::kSiluGate},
    {"135m/down", 1536, 576, Activation::kNone, 8},
    {"1.1b/qkv", 2048, 2560},
    {"1.1b/o", 2048, 2048, Activation::kNone, 4},
    {"1.1b/gate_up", 2048, 11264, Activation::kSiluGate},
    {"1.1b/down", 5632, 2048, Activation::kNone, 8},
    {"7b/qkv", 4096, 12288},
    {"7b/o", 4096, 4096, Activation::kNone, 8},
    {"7b/gate_up", 4096, 22016, Activation::kSiluGate},
    {"7b/down", 11008, 4096, Activation::kNone, 8},
};

struct AttentionShape {
  const char* name;
  int heads, kv_heads, head_dim;
};

constexpr AttentionShape kAttentions[] = {
    {"135m", 9, 3, 64}, {"1.1b", 32, 4, 64}, {"7b", 32, 32, 128}};

// Cheap numbers, the same in every run: floats in (-2, 2), bell-shaped as activations are; others
// evenly spread.
void fill(const Tensor& tensor, uint32_t seed) {
  uint32_t state = seed * 2654435761u + 1;
  const auto next = [&state] { return state = state * 1664525u + 1013904223u; };
  if (tensor.dtype() == DType::kF32) {
    for (float& x : tensor.span<float>()) {
      x = 0;
      for (int i = 0; i < 4; ++i) x += static_cast<float>(next()) * 0x1p-32f - 0.5f;
    }
  } else if (tensor.dtype() == DType::kBF16) {
    for (uint16_t& x : tensor.span<uint16_t>()) x = 0x3C80 | (next() >> 16 & 0x807F);
  } else {
    for (int8_t& x : tensor.span<int8_t>()) x = std::max<int8_t>(-127, next() >> 24);
  }
}

Tensor filled(Backend& backend, DType dtype, Shape shape, uint32_t seed) {
  const Tensor host = Tensor::host(dtype, shape), device = backend.allocate(dtype, shape);
  fill(host, seed);
  backend.upload(host, device);
  return device;
}

Tensor integers(Backend& backend, const std::vector<int32_t>& values) {
  const Shape shape{static_cast<int64_t>(values.size())};
  const Tensor device = backend.allocate(DType::kI32, shape);
  backend.upload(Tensor::view(const_cast<int32_t*>(values.data()), DType::kI32, shape), device);
  return device;
}

class KernelBench {
 public:
  KernelBench(const BackendOptions& options, Int8Product product, const Limits& limits,
              const std::string& filter)
      : backend_(make_backend(options)), product_(product), limits_(limits), filter_(filter) {
    fmt::print("back end: {}\n", backend_->name());
  }

  // One shape's weights at a time: they are made, measured and let go.
  void run() {
    for (const LinearShape& shape : kLinears) {
      for (const int64_t m : {1, 4, 8, 16, 32, 64, 128, 512}) add_linear(shape, m, false);
      add_linear(shape, 1, true);
      add_linear(shape, 512, true);
      go();
    }
    for (const int64_t k : {2048, 4096}) {
      for (const int64_t m : {1, 512}) add_quantise(k, m);
    }
    for (const int64_t h : {576, 2048, 4096}) {
      for (const int64_t m : {1, 512}) add_norm(h, m);
    }
    for (const int64_t m : {32, 512}) {
      for (const bool fold_first : {true, false}) add_norm_of_roots(12288, m, fold_first);
    }
    for (const AttentionShape& shape : kAttentions) {
      for (const int context : {512, 2048}) add_attention(shape, 1, 512, context);
      for (const int batch : {1, 8}) {
        for (const int context : {128, 512, 2048}) add_attention(shape, batch, 1, context);
        add_attention(shape, batch, 1, 2048, DType::kI8);
      }
    }
    go();
  }

 private:
  struct Layers {
    std::vector<std::unique_ptr<PackedLinear>> copies;
    size_t next = 0;
  };

  template <typename Body>
  void add(const std::string& name, Body body) {
    if (!std::regex_search(name, filter_)) return;
    add_benchmark(name, body);
    ++added_;
  }

  void go() {
    if (added_ == 0) return;
    Reporter reporter;
    benchmark::RunSpecifiedBenchmarks(&reporter, ".");
    benchmark::ClearRegisteredBenchmarks();
    layers_ = {};
    added_ = 0;
  }

  // Packed at the first use, so that shapes filtered out cost nothing.
  Layers& layers(const LinearShape& shape, int64_t bytes) {
    if (layers_.copies.empty()) {
      LinearWeight weight;
      weight.weight = Tensor::host(DType::kI8, {shape.out, shape.in});
      weight.scales = Tensor::host(DType::kF32, {shape.out});
      fill(weight.weight, 1);
      for (float& scale : weight.scales.span<float>()) scale = 1e-3f;
      weight.product = product_;
      weight.activation = shape.activation;
      weight.num_shards = shape.shards;
      weight.shards = {0, shape.shards};
      for (int i = 0; i <= shape.shards; ++i) weight.cuts.push_back(shape.in * i / shape.shards);
      for (int64_t have = 0; have < bytes; have += weight.weight.numel()) {
        layers_.copies.push_back(backend_->pack(weight));
      }
      backend_->reserve(kMostRows);
    }
    return layers_;
  }

  void time_linear(benchmark::State& state, const LinearShape& shape, int64_t m, bool outliers,
                   int64_t least_bytes) {
    Layers& weights = layers(shape, least_bytes);
    const Tensor host = Tensor::host(DType::kF32, {m, shape.in});
    fill(host, 2);
    for (int64_t i = 0; outliers && i < host.numel(); ++i) {
      if (i % shape.in % 1000 == 7) host.data<float>()[i] *= 60;
    }
    const Tensor x = backend_->allocate(DType::kF32, host.shape());
    backend_->upload(host, x);
    const int64_t out_features = weights.copies[0]->out_features();
    const Tensor out = backend_->allocate(DType::kF32, {1, m, out_features});
    for (auto _ : state) {
      backend_->linear(x, *weights.copies[weights.next++ % weights.copies.size()], out);
      backend_->synchronize();
    }
    const auto bytes = static_cast<double>(shape.in * shape.out);
    const double ops = 2.0 * bytes * static_cast<double>(m);
    set_work(state, {.bytes = bytes, .ops = ops, .least_seconds = limits_.seconds(bytes, ops)});
  }

  void add_linear(const LinearShape& shape, int64_t m, bool outliers) {
    if (outliers && product_ != Int8Product::kLlmInt8) return;
    add(fmt::format("linear{}/{}/M:{}", outliers ? "_outliers" : "", shape.name, m),
        [=, this](auto& state) { time_linear(state, shape, m, outliers, bytes_beyond_caches()); });
  }

  void add_quantise(int64_t k, int64_t m) {
    add(fmt::format("quantise/K:{}/M:{}", k, m), [=, this](auto& state) {
      layers_ = {};
      time_linear(state, {"", k, 16}, m, false, 1);
      const auto bytes = static_cast<double>(k * m) * sizeof(float);
      set_work(state, {.bytes = bytes, .least_seconds = bytes / limits_.l3});
    });
  }

  void add_norm(int64_t h, int64_t m) {
    add(fmt::format("add_norm/{}/M:{}", h, m), [=, this](auto& state) {
      const auto rows = [&](int64_t n) { return filled(*backend_, DType::kF32, {n, h}, 3); };
      const AddNormArgs args{.residual = rows(m),
                             .delta = rows(m),
                             .delta_bias = {},
                             .weight = rows(1).reshape({h}),
                             .bias = {},
                             .out = rows(m)};
      for (auto _ : state) {
        backend_->add_norm(args);
        backend_->synchronize();
      }
      const auto bytes = static_cast<double>(4 * h * m) * sizeof(float);  // three read, two written
      set_work(state,
               {.bytes = bytes, .least_seconds = bytes / (m == 1 ? limits_.l2 : limits_.l3)});
    });
  }

  // What two ranks hold, added and normalised: by one thread and then by all, or in the norm.
  void add_norm_of_roots(int64_t h, int64_t m, bool fold_first) {
    add(fmt::format("{}/{}/M:{}", fold_first ? "fold_then_norm" : "norm_of_roots", h, m),
        [=, this](auto& state) {
          const auto rows = [&](int64_t n) { return filled(*backend_, DType::kF32, {n, h}, 3); };
          const Tensor own = rows(m), of_peer = rows(m);
          const std::array<const float*, 2> roots{own.data<float>(), of_peer.data<float>()};
          const std::array adds{TreeAdd{0, 1}};
          const UnfoldedSum sum{roots, adds};
          AddNormArgs args{.residual = rows(m),
                           .delta = rows(m),
                           .weight = rows(1).reshape({h}),
                           .out = rows(m)};
          if (!fold_first) args.unfolded = sum;
          for (auto _ : state) {
            if (fold_first) fold(sum, 0, args.delta.numel(), args.delta.data<float>());
            backend_->add_norm(args);
          }
          const auto bytes = static_cast<double>(5 * h * m) * sizeof(float);
          set_work(state, {.bytes = bytes, .least_seconds = limits_.seconds(bytes, 0)});
        });
  }

  // `rows` queries each of `batch` sequences, the last of `context` positions.
  void add_attention(const AttentionShape& shape, int batch, int rows, int context,
                     DType cache = DType::kBF16) {
    add(fmt::format("attention{}/{}/batch:{}/rows:{}/context:{}",
                    cache == DType::kI8 ? "_int8_kv" : "", shape.name, batch, rows, context),
        [=, this](auto& state) { time_attention(state, shape, batch, rows, context, cache); });
  }

  KVCacheView filled_cache(DType dtype, Shape shape) {
    KVCacheView cache{.k = filled(*backend_, dtype, shape, 5),
                      .v = filled(*backend_, dtype, shape, 6)};
    if (dtype == DType::kI8) {
      const Shape vectors{shape[0], shape[1], shape[2]};
      cache.k_scales = filled(*backend_, DType::kF32, vectors, 7);
      cache.v_scales = filled(*backend_, DType::kF32, vectors, 8);
    }
    return cache;
  }

  void time_attention(benchmark::State& state, const AttentionShape& shape, int batch, int rows,
                      int context, DType dtype) {
    const int d = shape.head_dim, blocks = (context + kBlockSize - 1) / kBlockSize;
    std::vector<int32_t> cu, lengths(batch, context), table(batch * blocks);
    for (int s = 0; s <= batch; ++s) cu.push_back(s * rows);
    std::iota(table.begin(), table.end(), 0);
    const Shape cache{batch * blocks, shape.kv_heads, kBlockSize, d};
    const int64_t n = int64_t{batch} * rows;
    const AttentionArgs args{
        .qkv = filled(*backend_, DType::kF32, {n, (shape.heads + 2 * shape.kv_heads) * d}, 4),
        .cu_seqlens = integers(*backend_, cu),
        .context_lens = integers(*backend_, lengths),
        .block_tables = integers(*backend_, table).reshape({batch, blocks}),
        .heads = {0, shape.heads, 0, shape.kv_heads, shape.heads / shape.kv_heads},
        .head_dim = d,
        .scale = 0.125f,
        .alibi_slopes = {},
        .cache = filled_cache(dtype, cache),
        .out = backend_->allocate(DType::kF32, {n, shape.heads * d})};
    for (auto _ : state) {
      backend_->attention(args);
      backend_->synchronize();
    }
    const auto bytes =
        static_cast<double>(args.cache.k.bytes() + args.cache.v.bytes() +
                            args.cache.k_scales.bytes() + args.cache.v_scales.bytes());
    double positions = 0;  // seen by all rows of a sequence
    for (int row = 0; row < rows; ++row) positions += context - row;
    const double ops = 4.0 * d * shape.heads * positions * batch;
    set_work(state, {.bytes = bytes,
                     .ops = ops,
                     .least_seconds = std::max(bytes / limits_.l3, ops / limits_.f32)});
  }

  const std::unique_ptr<Backend> backend_;
  const Int8Product product_;
  const Limits limits_;
  const std::regex filter_;
  int added_ = 0;
  Layers layers_;
};

}  // namespace

void run_kernels(const BackendOptions& options, Int8Product product, const Limits& limits,
                 const std::string& filter) {
  KernelBench(options, product, limits, filter).run();
}

}  // namespace octet::bench
