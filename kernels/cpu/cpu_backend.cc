#include "kernels/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/check.h"
#include "kernels/cpu/cpu_attention.h"
#include "kernels/cpu/cpu_linear.h"
#include "kernels/cpu/host_memory.h"
#include "kernels/cpu/shortlist.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/fold.h"

namespace octet {
namespace {

using cpu::kBlock;

static_assert(cpu::kLeast == kLeastAbsmax && cpu::kLeastOutlier == kLeastOutlier &&
              cpu::kChains == kMagnitudeChains);

class CpuBackend : public Backend {
 public:
  CpuBackend(const cpu::KernelTable& kernels, int threads)
      : kernels_(kernels), pool_(threads > 0 ? threads : cpu::available_processors()) {}

  std::string name() const override {
    return fmt::format("cpu {}, {} thread{}", kernels_.name, pool_.size(),
                       pool_.size() == 1 ? "" : "s");
  }

  Tensor allocate(DType dtype, Shape shape) override { return cpu::allocate_host(dtype, shape); }
  void upload(const Tensor& host, const Tensor& device) override { copy(host, device); }
  void download(const Tensor& device, const Tensor& host) override { copy(device, host); }
  void synchronize() override {}

  std::unique_ptr<PackedLinear> pack(const LinearWeight& weight) override {
    auto packed = std::make_unique<cpu::CpuLinear>(weight, pool_);
    digits_.add(cpu::digits_layout(shape_of(weight)));
    return packed;
  }

  bool maps_files() const override { return true; }

  size_t reserve(int64_t max_rows) override {
    digits_.max_rows = max_rows;
    scratch_ = cpu::LinearScratch(digits_);
    attention_.reserve(max_rows);
    cpu::trim_host_memory();  // what was read to be packed
    return cpu::LinearScratch::bytes(digits_) + attention_.bytes();
  }

  size_t available_bytes() const override { return cpu::available_host_memory(); }
  size_t allocated_bytes(size_t bytes) const override { return cpu::allocated_bytes(bytes); }
  size_t packed_bytes(const LinearShape& weight) const override {
    return cpu::LinearLayout(weight).bytes();
  }
  size_t scratch_bytes(std::span<const LinearShape> weights, int64_t max_rows) const override {
    cpu::DigitsRoom digits{.in_pairs = digits_.in_pairs, .max_rows = max_rows};
    for (const LinearShape& weight : weights) digits.add(cpu::digits_layout(weight));
    return cpu::LinearScratch::bytes(digits) + attention_.bytes();
  }

  void embed(const Tensor& ids, const Tensor& table, int32_t first_id, const Tensor& out) override;
  void embed(const Tensor& ids, const PackedLinear& table, int32_t first_id,
             const Tensor& out) override;
  void add_norm(const AddNormArgs& args) override;
  bool has_ready_rows() const override { return true; }
  size_t ready_row_bytes(const PackedLinear& next) const override {
    return static_cast<const cpu::CpuLinear&>(next).ready_row_bytes();
  }
  void copy_ready_rows(const Tensor& x, const PackedLinear& next, RowRange rows,
                       std::byte* to) override {
    const auto& linear = static_cast<const cpu::CpuLinear&>(next);
    const auto bytes = static_cast<int64_t>(linear.ready_row_bytes());
    pool_.for_each(rows.size(), rows.size() * bytes, [&](int64_t i) {
      linear.copy_ready_row(scratch_, x, rows.begin + i, to + i * bytes);
    });
  }
  void take_ready_rows(const Tensor& x, const PackedLinear& next, RowRange rows,
                       const std::byte* from) override {
    const auto& linear = static_cast<const cpu::CpuLinear&>(next);
    const auto bytes = static_cast<int64_t>(linear.ready_row_bytes());
    pool_.for_each(rows.size(), rows.size() * bytes, [&](int64_t i) {
      linear.take_ready_row(scratch_, x, rows.begin + i, from + i * bytes);
    });
  }
  void linear(const Tensor& x, const PackedLinear& weight, const Tensor& out) override {
    static_cast<const cpu::CpuLinear&>(weight).apply(kernels_, pool_, scratch_, x, out);
  }
  bool has_linear_top() const override { return true; }
  void linear_top(const Tensor& x, const PackedLinear& weight, const Tensor& out) override {
    static_cast<const cpu::CpuLinear&>(weight).apply_top(kernels_, pool_, scratch_, x, out);
  }
  void rope_store(const RopeStoreArgs& args) override;
  void attention(const AttentionArgs& args) override { attention_.apply(kernels_, pool_, args); }
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) override {
    const int64_t h = x.dim(1);
    for (int64_t i = 0; i < rows.numel(); ++i) {
      std::copy_n(x.data<float>() + rows.data<int32_t>()[i] * h, h, out.data<float>() + i * h);
    }
  }
  void shortlist(const ShortlistArgs& args) override;

 private:
  static void copy(const Tensor& from, const Tensor& to) {
    OCTET_CHECK(from.bytes() == to.bytes(), "{} bytes to {}", from.bytes(), to.bytes());
    if (from.bytes() > 0) std::memcpy(to.raw_data(), from.raw_data(), from.bytes());
  }

  const cpu::KernelTable& kernels_;
  cpu::ThreadPool pool_;
  cpu::DigitsRoom digits_{.in_pairs = kernels_.take_rest != nullptr};  // for what was packed
  cpu::LinearScratch scratch_{digits_};
  cpu::CpuAttention attention_{kernels_, pool_.size()};
};

void CpuBackend::embed(const Tensor& ids, const Tensor& table, int32_t first_id,
                       const Tensor& out) {
  const int64_t h = out.dim(1);
  pool_.for_each(ids.numel(), out.numel(), [&](int64_t i) {
    const int64_t row = int64_t{ids.data<int32_t>()[i]} - first_id;
    float* to = out.data<float>() + i * h;
    if (row < 0 || row >= table.dim(0)) {
      std::fill_n(to, h, 0.0f);
    } else if (table.dtype() == DType::kF32) {
      const float* from = table.data<float>() + row * h;
      for (int64_t k = 0; k < h; ++k) to[k] = from[k] + 0.0f;
    } else {
      const bool bf16 = table.dtype() == DType::kBF16;
      const uint16_t* from = table.data<uint16_t>() + row * h;
      for (int64_t k = 0; k < h; ++k) {
        to[k] = (bf16 ? bf16_to_f32(from[k]) : f16_to_f32(from[k])) + 0.0f;
      }
    }
  });
}

void CpuBackend::embed(const Tensor& ids, const PackedLinear& table, int32_t first_id,
                       const Tensor& out) {
  const int64_t h = out.dim(1);
  pool_.for_each(ids.numel(), out.numel(), [&](int64_t i) {
    const int64_t row = int64_t{ids.data<int32_t>()[i]} - first_id;
    float* to = out.data<float>() + i * h;
    std::fill_n(to, h, 0.0f);
    if (row < 0 || row >= table.out_features()) return;
    static_cast<const cpu::CpuLinear&>(table).unpack_row(row, to);
    for (int64_t k = 0; k < h; ++k) to[k] += 0.0f;
  });
}

void CpuBackend::add_norm(const AddNormArgs& args) {
  const int64_t h = args.residual.dim(1);
  const auto row_of = [&](const Tensor& tensor, int64_t i) {
    return tensor.empty() ? nullptr : tensor.data<float>() + i * h;
  };
  const auto* next = static_cast<const cpu::CpuLinear*>(args.next);
  const bool takes_rows = next != nullptr && next->quantized();
  if (takes_rows) next->start_rows(scratch_, args.out);
  const RowRange rows = args.rows.value_or(RowRange{0, args.residual.dim(0)});
  pool_.for_each(rows.size(), rows.size() * h, [&](int64_t at) {
    const int64_t i = rows.begin + at;
    const float* delta = row_of(args.delta, i);
    if (!args.unfolded.empty()) {
      static thread_local std::vector<float> sum;
      sum.resize(static_cast<size_t>(h));
      fold(args.unfolded, static_cast<size_t>(i * h), sum.size(), sum.data());
      delta = sum.data();
    }
    kernels_.norm_row({.residual = row_of(args.residual, i),
                       .delta = delta,
                       .delta_bias = row_of(args.delta_bias, 0),
                       .weight = row_of(args.weight, 0),
                       .bias = row_of(args.bias, 0),
                       .out = row_of(args.out, i),
                       .h = h,
                       .eps = args.eps,
                       .layer_norm = args.kind == NormKind::kLayer});
    if (takes_rows) next->take_row(kernels_, scratch_, i, row_of(args.out, i));
  });
}

// The pairs (a[p * kStride], b[p * kStride]) by their angles.
template <int kStride>
void rotate(float* __restrict a, float* __restrict b, const float* __restrict cosines,
            const float* __restrict sines, int64_t pairs) {
  for (int64_t p = 0; p < pairs; ++p) {
    const float x = a[p * kStride], y = b[p * kStride];
    a[p * kStride] = x * cosines[p] - y * sines[p];
    b[p * kStride] = y * cosines[p] + x * sines[p];
  }
}

// to[k * stride] = convert(from[k]). Vectors are made of the loop whose stride is known.
template <typename T, typename Convert>
void store_every(T* __restrict to, int64_t stride, const float* __restrict from, int64_t n,
                 const Convert& convert) {
  if (stride == 1) {
    for (int64_t k = 0; k < n; ++k) to[k] = convert(from[k]);
  } else {
    for (int64_t k = 0; k < n; ++k) to[k * stride] = convert(from[k]);
  }
}

// A key's elements, two by two, `stride` elements apart.
void store_key_pairs(uint16_t* __restrict to, int64_t stride, const float* __restrict from,
                     int64_t d) {
  for (int64_t k = 0; k < d; k += 2, to += stride) {
    to[0] = f32_to_bf16(from[k]);
    to[1] = f32_to_bf16(from[k + 1]);
  }
}
// A value's, each beside one of a neighbour's.
void store_value_of_pairs(uint16_t* __restrict to, const float* __restrict from, int64_t d) {
  for (int64_t k = 0; k < d; ++k) to[2 * k] = f32_to_bf16(from[k]);
}

void CpuBackend::rope_store(const RopeStoreArgs& args) {
  const int64_t d = args.head_dim, num_q = args.heads.num_q(), num_kv = args.heads.num_kv();
  const int64_t width = (num_q + 2 * num_kv) * d, block_size = args.cache.k.dim(2);
  const int64_t rotary = args.style == RopeStyle::kNone ? 0 : args.cos_sin.dim(1);
  const int64_t half = rotary / 2;
  const cpu::CacheFormat format = cpu::cache_format(args.cache);
  const auto store = [d](const Tensor& cache, int64_t at, const float* from, int64_t stride) {
    if (cache.dtype() == DType::kF32) {
      store_every(cache.data<float>() + at, stride, from, d, std::identity{});
    } else {
      store_every(cache.data<uint16_t>() + at, stride, from, d, f32_to_bf16);
    }
  };
  const auto store_int8 = [&](const Tensor& cache, const Tensor& scales, int64_t scale_at,
                              int64_t at, const float* from, int64_t stride) {
    constexpr float kNone = std::numeric_limits<float>::infinity();
    thread_local std::vector<int8_t> digits;
    digits.resize(static_cast<size_t>(d));
    cpu::QuantizedRow quantized;
    kernels_.quantize(from, d, d, kNone, kNone,
                      {.low = digits.data(), .high = nullptr, .outlier_groups = nullptr},
                      &quantized);
    for (int64_t k = 0; k < d; ++k) cache.data<int8_t>()[at + k * stride] = digits[k];
    scales.data<float>()[scale_at] = quantized.scale;
  };
  pool_.for_each(args.positions.numel(), args.qkv.numel(), [&](int64_t i) {
    float* row = args.qkv.data<float>() + i * width;
    const float* cosines =
        rotary > 0 ? args.cos_sin.data<float>() + args.positions.data<int32_t>()[i] * rotary
                   : nullptr;
    const float* sines = cosines + half;
    for (int64_t head = 0; head < num_q + num_kv; ++head) {
      float* x = row + head * d;
      if (!args.q_norm.empty()) {
        const Tensor& norm = head < num_q ? args.q_norm : args.k_norm;
        kernels_.norm_row({.residual = x,
                           .delta = nullptr,
                           .delta_bias = nullptr,
                           .weight = norm.data<float>(),
                           .bias = nullptr,
                           .out = x,
                           .h = d,
                           .eps = args.norm_eps,
                           .layer_norm = false});
      }
      if (args.style == RopeStyle::kHalf) {
        rotate<1>(x, x + half, cosines, sines, half);
      } else {
        rotate<2>(x, x + 1, cosines, sines, half);
      }
    }
    const int64_t slot = args.slots.data<int32_t>()[i];
    for (int64_t head = 0; head < num_kv; ++head) {
      const int64_t first = (slot / block_size * num_kv + head) * block_size;
      const int64_t place = slot % block_size, group = place / kBlock * kBlock;
      const int64_t keys = std::min<int64_t>(kBlock, block_size - group);
      const int64_t k_at = (first + group) * d + place - group, v_at = (first + place) * d;
      const float* k = row + (num_q + head) * d;
      const float* v = k + num_kv * d;
      if (format == cpu::CacheFormat::kBF16Pairs) {
        const int64_t pair = place / 2 * 2, of_pair = place % 2;
        const int64_t key_at = (first + group) * d + 2 * (place - group);
        store_key_pairs(args.cache.k.data<uint16_t>() + key_at, 2 * keys, k, d);
        store_value_of_pairs(args.cache.v.data<uint16_t>() + (first + pair) * d + of_pair, v, d);
      } else if (format == cpu::CacheFormat::kI8) {
        store_int8(args.cache.k, args.cache.k_scales, first + place, k_at, k, keys);
        store_int8(args.cache.v, args.cache.v_scales, first + place, v_at, v, 1);
      } else {
        store(args.cache.k, k_at, k, keys);
        store(args.cache.v, v_at, v, 1);
      }
    }
  });
}

// A row is work enough for a thread.
void CpuBackend::shortlist(const ShortlistArgs& args) {
  const auto vocab_size = static_cast<size_t>(args.logits.dim(1));
  pool_.run(args.logits.dim(0), [&](int, int64_t i) {
    reinterpret_cast<Shortlist*>(args.out.raw_data())[i] = cpu::shortlist_of(
        args.logits.span<const float>().subspan(i * vocab_size, vocab_size),
        args.inverse_temperatures.data<float>()[i], args.scored_tokens.data<int32_t>()[i]);
  });
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const cpu::KernelTable& kernels, int threads) {
  return std::make_unique<CpuBackend>(kernels, threads);
}

std::span<const cpu::KernelTable* const> cpu_kernel_tables() {
  static const std::array<const cpu::KernelTable*, 3> tables{
      &cpu::amx_kernels(), &cpu::avx512_vnni_kernels(), &cpu::avx2_kernels()};
  return tables;
}

}  // namespace octet
