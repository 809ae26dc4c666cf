#include "bench/model_speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>

#include "bench/limits.h"
#include "bench/reporter.h"
#include "kernels/dtype.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/plan.h"
#include "runtime/models/open_model.h"
#include "runtime/weights/head_module.h"

namespace octet::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// What a step must move and compute, whatever the number of ranks.
struct ModelWork {
  double layer_bytes = 0, layer_weights = 0;  // of all layers
  double head_bytes = 0, head_weights = 0;
  bool int8_head = false;
  double kv_bytes = 0;  // of a position
  double kv_ops = 0;    // of a query and a position

  explicit ModelWork(const EngineOptions& options) {
    const ModelFiles files = open_model(model_source(options));
    const ModelArgs& args = files.args;
    const std::string head = std::string(head_module(*files.checkpoint, args)) + ".weight";
    for (const TensorInfo& info : files.checkpoint->tensors()) {
      const auto numel = static_cast<double>(info.shape.numel());
      const double bytes = numel * static_cast<double>(dtype_size(info.dtype));
      if (info.name == head) {
        head_bytes = bytes;
        head_weights = numel;
        int8_head = info.dtype == DType::kI8;
      } else if (!info.name.ends_with("embed_tokens.weight")) {
        layer_bytes += bytes;
        if (info.shape.rank() == 2) layer_weights += numel;
      }
    }
    const double heads = args.num_hidden_layers * args.head_dim;
    kv_bytes = 2.0 * heads * args.num_key_value_heads * sizeof(uint16_t);
    kv_ops = 4.0 * heads * args.num_attention_heads;
  }

  // `rows` tokens, `sampled` of them through the head, `positions` read of the cache, `seen` by all
  // queries together. in_int8: is the head's int8 copy read in its place?
  Work step(const Limits& limits, double rows, double sampled, double positions, double seen,
            bool in_int8) const {
    const double head_read = in_int8 ? head_weights : head_bytes;
    const double bytes = layer_bytes + head_read + kv_bytes * positions;
    const double head = 2 * head_weights * sampled;
    const bool int8_products = int8_head || in_int8;
    const double int8 = 2 * layer_weights * rows + (int8_products ? head : 0);
    const double f32 = kv_ops * seen + (int8_products ? 0 : head);
    return {.bytes = bytes, .ops = int8 + f32, .least_seconds = limits.seconds(bytes, int8, f32)};
  }
};

void submit(Engine& engine, int requests, int prompt, int tokens, bool logprobs) {
  for (int r = 0; r < requests; ++r) {
    Request request{.id = static_cast<uint64_t>(r)};
    for (int i = 0; i < prompt; ++i) request.prompt.push_back((r * 131 + i * 17) % 1000 + 5);
    request.sampling.max_tokens = tokens;
    request.sampling.temperature = 0;
    request.sampling.ignore_eos = true;
    request.sampling.logprobs = logprobs;
    engine.submit(std::move(request));
  }
}

// Seconds of a step in which all of `batch` sequences decode.
double decode_once(Engine& engine, int batch, const DecodeCase& wanted) {
  submit(engine, batch, wanted.context, wanted.tokens + 1, wanted.logprobs);
  Clock::time_point first, last;
  int steps = -1;
  engine.run(
      [&](const std::vector<RequestOutput>& outputs) {
        if (static_cast<int>(outputs.size()) != batch) return;
        last = Clock::now();
        if (++steps == 0) first = last;
      },
      true);
  return seconds_between(first, last) / std::max(1, steps);
}

double prefill_once(Engine& engine, int prompt) {
  submit(engine, 1, prompt, 1, false);
  const Clock::time_point start = Clock::now();
  engine.run([](const std::vector<RequestOutput>&) {}, true);
  return seconds_between(start, Clock::now());
}

void run_group(World& world, EngineOptions options,
               const std::function<void(Engine&, const ModelWork&, const Limits&)>& body) {
  const auto communicator = world.make_communicator(comm_options(options, world.size()));
  run_rank(options, *communicator, [&](Engine& engine) {
    // The other ranks sleep in a broadcast meanwhile.
    print_header();
    const Limits limits = measure_limits(options.threads * world.size());
    body(engine, ModelWork(options), limits);
  });
}

std::string row_name(const EngineOptions& options, const World& world, const std::string& what) {
  return fmt::format("{} tp:{}x{}t {}", options.model.filename().string(), world.size(),
                     options.threads, what);
}

// Runs once to warm up, then kRepetitions times.
std::vector<double> repeat(const std::function<double()>& once) {
  once();
  std::vector<double> seconds;
  for (int i = 0; i < kRepetitions; ++i) seconds.push_back(once());
  return seconds;
}

}  // namespace

void bench_decode(World& world, EngineOptions options, const DecodeCase& wanted) {
  const int most = std::ranges::max(wanted.batches);
  options.max_num_seqs = most;
  options.max_num_batched_tokens = std::max(options.max_num_batched_tokens, most);
  options.max_model_len = wanted.context + wanted.tokens + 1;
  run_group(world, options, [&](Engine& engine, const ModelWork& model, const Limits& limits) {
    for (const int batch : wanted.batches) {
      const double positions = batch * (wanted.context + wanted.tokens / 2.0);
      print_row({.name = row_name(options, world, fmt::format("decode batch:{}", batch)),
                 .seconds = repeat([&] { return decode_once(engine, batch, wanted); }),
                 .work = model.step(limits, batch, batch, positions, positions, !wanted.logprobs),
                 .tokens = static_cast<double>(batch)});
    }
  });
}

void bench_prefill(World& world, EngineOptions options, const std::vector<int>& prompts) {
  const int most = std::ranges::max(prompts);
  options.max_num_seqs = 1;
  options.max_num_batched_tokens = std::max(options.max_num_batched_tokens, most);
  options.max_model_len = most + 1;
  run_group(world, options, [&](Engine& engine, const ModelWork& model, const Limits& limits) {
    for (const int prompt : prompts) {
      const double n = prompt;
      print_row({.name = row_name(options, world, fmt::format("prefill {}", prompt)),
                 .seconds = repeat([&] { return prefill_once(engine, prompt); }),
                 .work = model.step(limits, n, 1, n, n * (n + 1) / 2, false),
                 .tokens = n});
    }
  });
}

}  // namespace octet::bench
