// cuBLASLt's int8 product of the shapes that linear_bench.cc measures: the best of the algorithms
// that it guesses, without the scales and the outliers that Octet's products include.
#include <fmt/format.h>

#include <exception>
#include <random>
#include <stdexcept>

#include "bench/device/cublas_lt.h"
#include "bench/device/timing.h"
#include "kernels/say.h"

namespace octet::bench {
namespace {

constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;

Tensor random_bytes(Shape shape) {
  static std::mt19937 generator(1);
  const Tensor bytes = Tensor::host(DType::kI8, shape);
  for (int8_t& byte : bytes.span<int8_t>()) byte = static_cast<int8_t>(generator() % 255 - 127);
  return bytes;
}

// A yardstick that multiplies something else is none: the first and the last sum of the first, the
// middle and the last row.
void check_sums(Bench& bench, const Tensor& x, const Tensor& w, const Tensor& sums) {
  const int64_t out = w.dim(0), in = w.dim(1);
  const Tensor host = Tensor::host(DType::kI32, sums.shape());
  bench.backend->download(sums, host);
  for (const int64_t row : {int64_t{0}, x.dim(0) / 2, x.dim(0) - 1}) {
    for (const int64_t o : {int64_t{0}, out - 1}) {
      int32_t expected = 0;
      for (int64_t k = 0; k < in; ++k) {
        expected += x.data<int8_t>()[row * in + k] * w.data<int8_t>()[o * in + k];
      }
      const int32_t actual = host.data<int32_t>()[row * out + o];
      if (actual == expected) continue;
      throw std::runtime_error(
          fmt::format("row {}, output {} is {}, not {}", row, o, actual, expected));
    }
  }
}

void measure_shape(Bench& bench, const ProductShape& shape) {
  const auto [out, in] = shape;
  Backend& backend = *bench.backend;
  const auto stream = static_cast<cudaStream_t>(backend.queue().stream);
  const int64_t copies = kFewestWeightBytes / (out * in) + 1;
  const Tensor w = random_bytes({out, in});
  const Tensor weights = backend.allocate(DType::kI8, {copies * out, in});
  const auto copy = [&](int64_t i) { return weights.rows(i * out, (i + 1) * out); };
  for (int64_t i = 0; i < copies; ++i) backend.upload(w, copy(i));
  const Tensor workspace = backend.allocate(DType::kU8, {kWorkspaceBytes});
  for (const int64_t n : kProductRows) {
    if (!bench.wants(static_cast<int>(n))) continue;
    const Tensor x = random_bytes({n, in}), to = backend.allocate(DType::kI8, {n, in});
    backend.upload(x, to);
    const Tensor sums = backend.allocate(DType::kI32, {n, out});
    const CublasLtProduct product(n, out, in, kWorkspaceBytes);
    const Tensor nothing = Tensor::host(DType::kI32, {n, out});
    double best = 0;
    for (size_t i = 0; i < product.algorithms().size(); ++i) {
      try {
        backend.upload(nothing, sums);
        const double time = seconds(bench, [&] {  // the back end records what its stream is given
          for (int64_t c = 0; c < copies; ++c) {
            product.queue(product.algorithms()[i], to, copy(c), sums, workspace, stream);
          }
        });
        check_sums(bench, x, w, sums);
        if (best == 0 || time < best) best = time;
      } catch (const std::exception& error) {  // one of several
        say("octet_device_bench: {}x{}, {} rows, cuBLASLt's algorithm {}: {}\n", out, in, n, i,
            error.what());
      }
    }
    if (best == 0) continue;  // it knows no way
    report_product(bench, fmt::format("cublaslt.{}x{}.m{}", out, in, n), n, shape,
                   best / static_cast<double>(copies));
  }
}

}  // namespace

void measure_yardstick(Bench& bench) {
  for (const ProductShape& shape : kProductShapes) measure_shape(bench, shape);
}

}  // namespace octet::bench
