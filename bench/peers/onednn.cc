// oneDNN's int8 matmul, weights reordered once, as a yardstick. Built by bench/peers.py.
//     onednn M K N: prints one JSON object; threads by OMP_NUM_THREADS.
// As octet_bench kernels does, weights of three times the last-level cache and at least 512 MiB in
// turn, so that most come from memory.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <vector>

using dnnl::matmul;
using dnnl::memory;

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "onednn M K N\n");
    return 2;
  }
  const long m = std::atol(argv[1]), k = std::atol(argv[2]), n = std::atol(argv[3]);
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::desc x_desc({m, k}, memory::data_type::s8, memory::format_tag::ab);
  const memory::desc y_desc({m, n}, memory::data_type::f32, memory::format_tag::ab);
  const memory::desc any({k, n}, memory::data_type::s8, memory::format_tag::any);
  dnnl::primitive_attr attributes;
  attributes.set_output_scales(0, {1e-3f});
  const matmul::primitive_desc product_desc({x_desc, any, y_desc}, attributes, engine);
  const matmul product(product_desc);

  std::mt19937 random(1);
  std::vector<int8_t> plain(k * n);
  for (int8_t& w : plain) w = static_cast<int8_t>(random());
  memory x(x_desc, engine), y(y_desc, engine);
  memory source({{k, n}, memory::data_type::s8, memory::format_tag::ab}, engine, plain.data());
  auto* x_data = static_cast<int8_t*>(x.get_data_handle());
  for (long i = 0; i < m * k; ++i) x_data[i] = static_cast<int8_t>(random());
  std::vector<memory> weights;
  const long beyond_caches = std::max(512L << 20, 3 * sysconf(_SC_LEVEL3_CACHE_SIZE));
  for (long bytes = 0; bytes < beyond_caches; bytes += k * n) {
    weights.emplace_back(product_desc.weights_desc(), engine);
    dnnl::reorder(source, weights.back()).execute(stream, source, weights.back());
  }
  stream.wait();

  size_t next = 0;
  const auto time = [&](int iterations) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < iterations; ++i) {
      product.execute(stream, {{DNNL_ARG_SRC, x},
                               {DNNL_ARG_WEIGHTS, weights[next++ % weights.size()]},
                               {DNNL_ARG_DST, y}});
    }
    stream.wait();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() /
           iterations;
  };
  const double once = time(3);
  const int iterations = static_cast<int>(0.1 / once) + 1;
  std::printf("{\"what\": \"linear %ldx%ld M:%ld\", \"implementation\": \"%s\", \"seconds\": [", k,
              n, m, product_desc.impl_info_str());
  for (int run = 0; run < 5; ++run) std::printf("%s%.9f", run ? ", " : "", time(iterations));
  std::printf("]}\n");
}
