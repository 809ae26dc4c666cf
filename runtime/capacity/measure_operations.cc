#include <algorithm>
#include <random>

#include "kernels/backend_factory.h"
#include "runtime/capacity/measure_attention.h"
#include "runtime/capacity/measure_linear.h"
#include "runtime/capacity/stopwatch.h"
#include "runtime/weights/partition.h"

namespace octet {
namespace {

constexpr int kNormRows[] = {1, 8, 64, 512};
constexpr int kWidths[] = {512, 4096};
constexpr int kSampledRows[] = {1, 64};
constexpr int kVocabularies[] = {32768, 131072};

Tensor random_tensor(Backend& backend, Shape shape) {
  const Tensor host = Tensor::host(DType::kF32, shape);
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  for (float& x : host.span<float>()) x = normal(generator);
  const Tensor device = backend.allocate(DType::kF32, shape);
  backend.upload(host, device);
  return device;
}

double norm_seconds(Backend& backend, int rows, int width) {
  const Shape shape{rows, width};
  const AddNormArgs call{.residual = random_tensor(backend, shape),
                         .delta = random_tensor(backend, shape),
                         .delta_bias = {},
                         .weight = random_tensor(backend, {width}),
                         .bias = {},
                         .out = backend.allocate(DType::kF32, shape)};
  return call_seconds(9, std::max(1, 256 / rows), [&](int) {
    backend.add_norm(call);
    backend.synchronize();
  });
}

double embed_seconds(Backend& backend, int rows, int width) {
  constexpr int kTable = 8192;
  const Tensor table = backend.allocate(DType::kBF16, {kTable, width});
  const Tensor host = Tensor::host(DType::kI32, {rows});
  for (int i = 0; i < rows; ++i) host.data<int32_t>()[i] = i * 131 % kTable;
  const Tensor ids = backend.allocate(DType::kI32, {rows});
  backend.upload(host, ids);
  const Tensor out = backend.allocate(DType::kF32, {rows, width});
  return call_seconds(9, std::max(1, 256 / rows), [&](int) {
    backend.embed(ids, table, 0, out);
    backend.synchronize();
  });
}

// Greedy: allocated memory is zero.
double sample_seconds(Backend& backend, int rows, int vocabulary) {
  const ShortlistArgs call{.logits = random_tensor(backend, {rows, vocabulary}),
                           .inverse_temperatures = backend.allocate(DType::kF32, {rows}),
                           .scored_tokens = backend.allocate(DType::kI32, {rows}),
                           .out = backend.allocate(DType::kU8, {rows, sizeof(Shortlist)})};
  const Tensor lists = Tensor::host(DType::kU8, call.out.shape());
  return call_seconds(9, 4, [&](int) {
    backend.shortlist(call);
    backend.download(call.out, lists);
  });
}

double reduce_seconds(Communicator& communicator, size_t floats) {
  const ReducePlan plan(Partition::kDefaultShards, communicator.size());
  const size_t roots = static_cast<size_t>(plan.num_roots(communicator.rank())) * floats;
  std::vector<float> out(floats);
  communicator.barrier();
  return call_seconds(9, std::clamp(static_cast<int>(200'000 / floats), 2, 100), [&](int) {
    communicator.all_reduce_sum(plan, communicator.send_buffer(roots), out);
  });
}

double gather_seconds(Communicator& communicator, int rows, int vocabulary) {
  const int size = communicator.size();
  const auto columns = static_cast<size_t>(vocabulary / size), count = static_cast<size_t>(rows);
  const std::vector<float> part(count * columns);
  const std::vector<size_t> of_ranks(static_cast<size_t>(size), columns);
  std::vector<float> logits(communicator.rank() == 0 ? part.size() * of_ranks.size() : 0);
  communicator.barrier();
  return call_seconds(5, 4, [&](int) {
    communicator.gather(part, count, of_ranks, logits, 0);
    communicator.barrier();
  });
}

template <typename First, typename Second, typename Seconds>
ProfileTable by_two(const Measurement& measurement, const char* operation, const char* first_name,
                    const First& first, const char* second_name, const Second& second,
                    const Seconds& seconds) {
  std::vector<double> values;
  for (const int a : first) {
    for (const int b : second) values.push_back(seconds(a, b));
  }
  return {.operation = operation,
          .ranks = measurement.communicator.size(),
          .grid = Grid({{first_name, doubles(first)}, {second_name, doubles(second)}}, values),
          .source = measurement.source};
}

ProfileTable reduces(const Measurement& measurement) {
  Communicator& communicator = measurement.communicator;
  const ReducePlan plan(Partition::kDefaultShards, communicator.size());
  const auto roots = static_cast<size_t>(plan.max_roots_per_rank());
  std::vector<double> bytes, values;
  for (const size_t floats : {256, 1024, 4096, 16384, 20000, 65536, 262144, 1048576, 4194304}) {
    if (floats * roots > size_t{4} << 20) break;
    bytes.push_back(static_cast<double>(floats * sizeof(float)));
    values.push_back(reduce_seconds(communicator, floats));
  }
  return {.operation = "reduce",
          .ranks = communicator.size(),
          .grid = Grid({{"bytes", bytes}}, values),
          .source = measurement.source};
}

}  // namespace

std::vector<ProfileTable> measure_operations(const Measurement& measurement) {
  Communicator& communicator = measurement.communicator;
  const auto backend = make_backend({.device = measurement.options.device,
                                     .isa = measurement.options.isa,
                                     .threads = measurement.options.threads});
  std::vector<ProfileTable> tables = measure_linear(*backend, measurement.phase(0, 0.6));
  for (ProfileTable& table : measure_attention(*backend, measurement.phase(0.6, 0.9))) {
    tables.push_back(std::move(table));
  }
  measurement.progress("row operations", 0.9);
  communicator.barrier();
  tables.push_back(
      by_two(measurement, "norm", "rows", kNormRows, "width", kWidths,
             [&](int rows, int width) { return norm_seconds(*backend, rows, width); }));
  tables.push_back(
      by_two(measurement, "embed", "rows", kNormRows, "width", kWidths,
             [&](int rows, int width) { return embed_seconds(*backend, rows, width); }));
  measurement.progress("sampling", 0.95);
  tables.push_back(
      by_two(measurement, "sample", "rows", kSampledRows, "vocabulary", kVocabularies,
             [&](int rows, int vocabulary) { return sample_seconds(*backend, rows, vocabulary); }));
  if (communicator.size() == 1) return tables;
  measurement.progress("reduces", 0.97);
  tables.push_back(reduces(measurement));
  tables.push_back(by_two(
      measurement, "gather", "rows", kSampledRows, "vocabulary", kVocabularies,
      [&](int rows, int vocabulary) { return gather_seconds(communicator, rows, vocabulary); }));
  return tables;
}

}  // namespace octet
