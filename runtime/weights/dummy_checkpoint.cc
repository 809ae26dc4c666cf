#include "runtime/weights/dummy_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "kernels/check.h"
#include "runtime/formats/file.h"
#include "runtime/weights/hash.h"
#include "runtime/weights/module_shapes.h"
#include "runtime/weights/slice_io.h"

namespace octet {
namespace {

constexpr int64_t kValuesOfThread = int64_t{1} << 20;  // at least
constexpr float kInt8Deviation = 73.3f;                // of int8 values that are all equally likely

uint64_t mix(uint64_t z) {  // splitmix64's finaliser
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// Elements [first, first + count) of the tensor, each from its own part of a 64-bit draw.
template <typename T, typename Value>
void fill(T* out, uint64_t seed, int64_t first, int64_t count, const Value& value) {
  constexpr int64_t kPerDraw = sizeof(uint64_t) / sizeof(T);
  for (int64_t i = first; i < first + count;) {
    const uint64_t draw = mix(seed + static_cast<uint64_t>(i / kPerDraw) * 0x9E3779B97F4A7C15u);
    T parts[kPerDraw];
    std::memcpy(parts, &draw, sizeof parts);
    for (int64_t k = i % kPerDraw; k < kPerDraw && i < first + count; ++k, ++i) {
      *out++ = value(parts[k]);
    }
  }
}

int8_t int8_value(int8_t bits) { return bits == -128 ? int8_t{-127} : bits; }

// bf16 in +-[1/64, 1/32), a sign and a mantissa from the draw: small, and quick to make.
uint16_t bf16_value(uint16_t bits) { return static_cast<uint16_t>(0x3C80 | (bits & 0x807F)); }

}  // namespace

DummyCheckpoint::DummyCheckpoint(std::filesystem::path path, nlohmann::json config,
                                 const ModelArgs& args, std::span<const ModuleName> modules,
                                 bool int8_head)
    : path_(std::move(path)), config_(std::move(config)) {
  const Partition partition(args);
  for (const auto& [name, shape] : module_tensors(modules, args)) {
    if (shape.rank() == 1) {
      add(name, DType::kF32, shape);
    } else if (partition.find(name)->is_int8(int8_head)) {
      add_int8(name, shape);
    } else {
      add(name, DType::kBF16, shape);
    }
  }
  if (int8_head && args.tie_word_embeddings) {
    add_int8("lm_head.weight", module_shape("lm_head", args));
  }
  std::ranges::sort(tensors_, {}, &TensorInfo::name);
}

void DummyCheckpoint::add(const std::string& name, DType dtype, const Shape& shape) {
  tensors_.push_back({.name = name,
                      .dtype = dtype,
                      .shape = shape,
                      .stored_as = std::string(dtype_name(dtype)),
                      .stored_bytes = static_cast<uint64_t>(shape.numel()) * dtype_size(dtype)});
}

void DummyCheckpoint::add_int8(const std::string& name, const Shape& shape) {
  add(name, DType::kI8, shape);
  add(name + "_scale", DType::kF32, {shape[0]});
}

void DummyCheckpoint::read(std::string_view name, const TensorSlice& slice,
                           const Tensor& out) const {
  const TensorInfo* info = find(name);
  OCTET_CHECK(info != nullptr, "{} has no {}", path_.string(), name);
  check_slice(info->name, info->dtype, info->shape, slice, out);
  bytes_read_ += out.bytes();
  if (info->dtype == DType::kF32) {
    // Norms of ones and biases of zeros; scales that keep a unit input at unit size.
    const bool scale = name.ends_with("_scale");
    float value = name.ends_with(".bias") ? 0.0f : 1.0f;
    if (scale) {
      const TensorInfo* weight = find(name.substr(0, name.size() - std::strlen("_scale")));
      value = 1.0f / (kInt8Deviation * std::sqrt(static_cast<float>(weight->shape[1])));
    }
    std::ranges::fill(out.span<float>(), value);
    return;
  }
  const uint64_t seed = hash_bytes(std::as_bytes(std::span(name.data(), name.size())));
  const int64_t columns = info->shape[1];
  const int64_t begin = slice.axis == 1 ? slice.begin : 0;
  const int64_t count = slice.axis == 1 ? slice.end - slice.begin : columns;
  const int64_t first_row = slice.axis == 1 ? 0 : slice.begin;
  const auto fill_row = [&](int64_t row) {
    const int64_t first = (first_row + row) * columns + begin;
    if (info->dtype == DType::kI8) {
      fill(out.data<int8_t>() + row * count, seed, first, count, int8_value);
    } else {
      fill(out.data<uint16_t>() + row * count, seed, first, count, bf16_value);
    }
  };
  const int64_t cores = std::thread::hardware_concurrency();
  const int64_t threads =
      std::clamp<int64_t>(out.numel() / kValuesOfThread, 1, std::max<int64_t>(cores, 1));
  std::vector<std::jthread> others;
  for (int64_t t = 1; t < threads; ++t) {
    others.emplace_back([&, t] {
      for (int64_t row = t; row < out.dim(0); row += threads) fill_row(row);
    });
  }
  for (int64_t row = 0; row < out.dim(0); row += threads) fill_row(row);
}

void DummyCheckpoint::copy_companions(const std::filesystem::path& folder) const {
  write_text_file(folder / "config.json", config_.dump(2) + "\n");
}

}  // namespace octet
