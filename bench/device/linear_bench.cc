// int8 products at GPT-3's shapes over 8 ranks, each on other weights than the last, so that they
// come from memory: of rows that are quantised already, as behind a norm. And what quantising the
// rows, with and without a norm, and packing the weights take.
#include <fmt/format.h>

#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "bench/device/timing.h"
#include "kernels/cuda/cuda_linear.h"

namespace octet::bench {
namespace {

constexpr int64_t kFewestBytes = int64_t{400} << 20;  // of weights in turn: several L2 caches

LinearWeight random_weight(int64_t out, int64_t in, Int8Product product) {
  static std::mt19937 generator(1);
  LinearWeight weight;
  weight.weight = Tensor::host(DType::kI8, {out, in});
  auto* words = reinterpret_cast<uint32_t*>(weight.weight.raw_data());
  for (int64_t i = 0; i < out * in / 4; ++i) words[i] = generator() & 0x7f7f7f7fu;
  weight.scales = Tensor::host(DType::kF32, {out});
  for (float& scale : weight.scales.span<float>()) scale = 1e-3f;
  weight.product = product;
  return weight;
}

// Rows with six columns that are outliers in every row.
Tensor rows_with_outliers(Bench& bench, int64_t n, int64_t in) {
  const Tensor device = random_floats(bench, {n, in});
  const Tensor host = Tensor::host(DType::kF32, {n, in});
  bench.backend->download(device, host);
  for (int64_t row = 0; row < n; ++row) {
    for (int i = 0; i < 6; ++i) host.data<float>()[row * in + (i * in / 6 + 17)] = 40.0f;
  }
  bench.backend->upload(host, device);
  return device;
}

}  // namespace

void measure_linear(Bench& bench) {
  constexpr int64_t kMostRows = 2048;
  for (const auto& [out, in] : std::vector<std::pair<int64_t, int64_t>>{
           {4608, 12288}, {12288, 1536}, {6144, 12288}, {12288, 6144}}) {
    const int64_t copies = kFewestBytes / (out * in) + 1;
    for (const Int8Product product : {Int8Product::kW8A8, Int8Product::kLlmInt8}) {
      const LinearWeight weight = random_weight(out, in, product);
      std::vector<std::unique_ptr<PackedLinear>> layers;
      bench.backend->pack(weight);  // pinned buffers grow
      const auto start = std::chrono::steady_clock::now();
      for (int64_t i = 0; i < copies; ++i) layers.push_back(bench.backend->pack(weight));
      const double packing =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      const bool mixed = product == Int8Product::kLlmInt8;
      const std::string kind = mixed ? "llm_int8" : "w8a8";
      if (!mixed) {
        report(fmt::format("load.{}x{}", out, in),
               static_cast<double>(copies * out * in) / packing / 1e9, "GB/s", bench.link_gb_s);
      }
      const auto as_cuda = [](const auto& layer) -> const cuda::CudaLinear& {
        return static_cast<const cuda::CudaLinear&>(*layer);
      };
      bench.backend->reserve(kMostRows);
      cuda::LinearNeeds needs;
      as_cuda(layers[0]).layout().add_needs(needs);
      const cuda::LinearScratch scratch = cuda::make_scratch(
          needs, kMostRows,
          [&](DType dtype, Shape shape) { return bench.backend->allocate(dtype, shape); });
      for (const int64_t n : {1, 2, 4, 8, 16, 32, 64, 2048}) {
        if (!bench.wants(static_cast<int>(n))) continue;
        const Tensor x = rows_with_outliers(bench, n, in);
        const Tensor to = bench.backend->allocate(DType::kF32, {1, n, out});
        as_cuda(layers[0]).apply(scratch, x, false, to);
        const double time = seconds(bench,
                                    [&] {
                                      for (const auto& layer : layers)
                                        as_cuda(layer).apply(scratch, x, true, to);
                                    }) /
                            static_cast<double>(copies);
        constexpr int kTimes = 32;
        const auto each = [&](const auto& operation) {
          return seconds(bench,
                         [&] {
                           for (int i = 0; i < kTimes; ++i) operation();
                         }) /
                 kTimes;
        };
        cuda::QuantizeCall rows = as_cuda(layers[0]).quantizer(scratch, n);
        rows.x = x.data<float>();
        const auto stream = static_cast<cudaStream_t>(bench.backend->queue().stream);
        const double quantizing = each([&] { cuda::quantize_rows(rows, stream); });
        const AddNormArgs norm{.residual = random_floats(bench, {n, in}),
                               .delta = x,
                               .weight = random_floats(bench, {in}),
                               .bias = random_floats(bench, {in}),
                               .kind = NormKind::kLayer,
                               .out = bench.backend->allocate(DType::kF32, {n, in}),
                               .next = layers[0].get()};
        const double norming = each([&] { bench.backend->add_norm(norm); });
        report(fmt::format("norm.{}.{}.m{}.us", kind, in, n), norming * 1e6, "us");
        const double both = seconds(bench,
                                    [&] {
                                      for (const auto& layer : layers) {
                                        bench.backend->add_norm(norm);
                                        as_cuda(layer).apply(scratch, x, true, to);
                                      }
                                    }) /
                            static_cast<double>(copies);
        report(fmt::format("behind_norm.{}.{}x{}.m{}.us", kind, out, in, n), both * 1e6, "us");
        report(fmt::format("quantize.{}.{}.m{}.us", kind, in, n), quantizing * 1e6, "us");
        const std::string key = fmt::format("linear.{}.{}x{}.m{}", kind, out, in, n);
        report(key + ".us", time * 1e6, "us");
        if (n > 64) {
          report(key, 2.0 * n * out * in / time / 1e12, "TOPS", bench.int8_tops);
        } else {
          report(key, static_cast<double>(out * in) / time / 1e9, "GB/s", bench.read_gb_s);
        }
      }
    }
  }
}

}  // namespace octet::bench
