// int8 products of rows that are quantised already, as behind a norm. And what quantising the rows,
// with and without a norm, and packing the weights take.
#include <fmt/format.h>

#include <chrono>
#include <random>
#include <vector>

#include "bench/device/timing.h"
#include "kernels/cuda/cuda_linear.h"

namespace octet::bench {
namespace {

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

constexpr int64_t kMostRows = 2048;

const char* name_of(Int8Product product) {
  return product == Int8Product::kLlmInt8 ? "llm_int8" : "w8a8";
}

const cuda::CudaLinear& as_cuda(const std::unique_ptr<PackedLinear>& layer) {
  return static_cast<const cuda::CudaLinear&>(*layer);
}

cuda::LinearScratch scratch_for(Bench& bench, const cuda::CudaLinear& layer) {
  cuda::LinearNeeds needs;
  layer.layout().add_needs(needs);
  return cuda::make_scratch(needs, kMostRows, [&](DType dtype, Shape shape) {
    return bench.backend->allocate(dtype, shape);
  });
}

// Products of rows that are quantised already, over one layer after the other.
void measure_products(Bench& bench, int64_t out, int64_t in, Int8Product product) {
  const int64_t copies = kFewestWeightBytes / (out * in) + 1;
  const LinearWeight weight = random_weight(out, in, product);
  std::vector<std::unique_ptr<PackedLinear>> layers;
  bench.backend->pack(weight);  // pinned buffers grow
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < copies; ++i) layers.push_back(bench.backend->pack(weight));
  bench.backend->synchronize();
  const double packing =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (product == Int8Product::kW8A8) {
    report(fmt::format("load.{}x{}", out, in),
           static_cast<double>(copies * out * in) / packing / 1e9, "GB/s", bench.link_gb_s);
  }
  const cuda::LinearScratch scratch = scratch_for(bench, as_cuda(layers[0]));
  for (const int64_t n : kProductRows) {
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
    report_product(bench, fmt::format("linear.{}.{}x{}.m{}", name_of(product), out, in, n), n,
                   {out, in}, time);
  }
}

// What makes rows of `in` columns ready for a product.
void measure_rows(Bench& bench, int64_t in, Int8Product product) {
  constexpr int kTimes = 32;
  const std::unique_ptr<PackedLinear> layer =
      bench.backend->pack(random_weight(cuda::kRowAlign, in, product));
  bench.backend->reserve(kMostRows);
  const cuda::LinearScratch scratch = scratch_for(bench, as_cuda(layer));
  const auto stream = static_cast<cudaStream_t>(bench.backend->queue().stream);
  const auto measure = [&](const char* what, int64_t n, const auto& operation) {
    const double time = seconds(bench, [&] {
      for (int i = 0; i < kTimes; ++i) operation();
    });
    report(fmt::format("{}.{}.{}.m{}.us", what, name_of(product), in, n), time / kTimes * 1e6,
           "us");
  };
  for (const int64_t n : kProductRows) {
    if (!bench.wants(static_cast<int>(n))) continue;
    const Tensor x = rows_with_outliers(bench, n, in);
    cuda::QuantizeCall rows = as_cuda(layer).quantizer(scratch, n);
    rows.x = x.data<float>();
    measure("quantize", n, [&] { cuda::quantize_rows(rows, stream); });
    const AddNormArgs norm{.residual = random_floats(bench, {n, in}),
                           .delta = x,
                           .weight = random_floats(bench, {in}),
                           .bias = random_floats(bench, {in}),
                           .kind = NormKind::kLayer,
                           .out = bench.backend->allocate(DType::kF32, {n, in}),
                           .next = layer.get()};
    measure("norm", n, [&] { bench.backend->add_norm(norm); });
  }
}

}  // namespace

void measure_linear(Bench& bench) {
  for (const Int8Product product : {Int8Product::kW8A8, Int8Product::kLlmInt8}) {
    for (const auto& [out, in] : kProductShapes) {
      measure_products(bench, out, in, product);
    }
    for (const int64_t in : {1536, 6144, 12288}) measure_rows(bench, in, product);
  }
}

}  // namespace octet::bench
