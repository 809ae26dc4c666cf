#include "runtime/formats/ggml_dequantize.h"

#include <cstdint>
#include <cstring>

#include "kernels/check.h"
#include "kernels/dtype.h"

namespace octet {
namespace {

// One function a format: one block, `in` to `out`.
using DequantizeBlock = void (*)(const uint8_t* in, float* out);

template <typename T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
float half(const uint8_t* from) { return f16_to_f32(load<uint16_t>(from)); }

void f32(const uint8_t* in, float* out) { *out = load<float>(in); }
void f16(const uint8_t* in, float* out) { *out = half(in); }
void bf16(const uint8_t* in, float* out) { *out = bf16_to_f32(load<uint16_t>(in)); }

// Formats of 32: element i is the low nibble of byte i, element i + 16 its high nibble.
void q4_0(const uint8_t* in, float* out) {  // d, nibbles[16]
  const float d = half(in);
  const uint8_t* q = in + 2;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((q[i] & 15) - 8) * d;
    out[i + 16] = static_cast<float>((q[i] >> 4) - 8) * d;
  }
}

void q4_1(const uint8_t* in, float* out) {  // d, m, nibbles[16]
  const float d = half(in), m = half(in + 2);
  const uint8_t* q = in + 4;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(q[i] & 15) * d + m;
    out[i + 16] = static_cast<float>(q[i] >> 4) * d + m;
  }
}

int fifth_bit(uint32_t bits, int i) { return static_cast<int>(bits >> i & 1) << 4; }

void q5_0(const uint8_t* in, float* out) {  // d, fifth bits (32), nibbles[16]
  const float d = half(in);
  const auto high = load<uint32_t>(in + 2);
  const uint8_t* q = in + 6;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(((q[i] & 15) | fifth_bit(high, i)) - 16) * d;
    out[i + 16] = static_cast<float>(((q[i] >> 4) | fifth_bit(high, i + 16)) - 16) * d;
  }
}

void q5_1(const uint8_t* in, float* out) {  // d, m, fifth bits (32), nibbles[16]
  const float d = half(in), m = half(in + 2);
  const auto high = load<uint32_t>(in + 4);
  const uint8_t* q = in + 8;
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((q[i] & 15) | fifth_bit(high, i)) * d + m;
    out[i + 16] = static_cast<float>((q[i] >> 4) | fifth_bit(high, i + 16)) * d + m;
  }
}

void q8_0(const uint8_t* in, float* out) {  // d, int8[32]
  const float d = half(in);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * d;
}

// The K formats' eight scales and eight minima, 6 bits each in 12 bytes: the first four of each in
// the low 6 bits of bytes 0-3 and 4-7; the last four have their low nibbles in bytes 8-11 and their
// top 2 bits in the top of bytes 0-3 and 4-7.
struct ScaleMin {
  float scale, min;
};
ScaleMin scale_min(const uint8_t* packed, int i) {
  if (i < 4) {
    return {static_cast<float>(packed[i] & 63), static_cast<float>(packed[i + 4] & 63)};
  }
  const int scale = (packed[i + 4] & 15) | (packed[i - 4] >> 6) << 4;
  const int min = (packed[i + 4] >> 4) | (packed[i] >> 6) << 4;
  return {static_cast<float>(scale), static_cast<float>(min)};
}

// Sub-block i of 32 has the low (i even) or high nibbles of bytes [i / 2 * 32, + 32).
void q4_k(const uint8_t* in, float* out) {  // d, dmin, scales[12], nibbles[128]
  const float d = half(in), dmin = half(in + 2);
  for (int i = 0; i < 8; ++i) {
    const auto [scale, min] = scale_min(in + 4, i);
    const float step = d * scale, offset = dmin * min;
    const uint8_t* q = in + 16 + i / 2 * 32;
    for (int j = 0; j < 32; ++j) {
      out[i * 32 + j] = step * static_cast<float>(q[j] >> (i % 2 * 4) & 15) - offset;
    }
  }
}

void q5_k(const uint8_t* in, float* out) {  // d, dmin, scales[12], fifth bits[32], nibbles[128]
  const float d = half(in), dmin = half(in + 2);
  const uint8_t* high = in + 16;  // bit i of byte j: the fifth bit of element j of sub-block i
  for (int i = 0; i < 8; ++i) {
    const auto [scale, min] = scale_min(in + 4, i);
    const float step = d * scale, offset = dmin * min;
    const uint8_t* q = in + 48 + i / 2 * 32;
    for (int j = 0; j < 32; ++j) {
      const int value = (q[j] >> (i % 2 * 4) & 15) | (high[j] >> i & 1) << 4;
      out[i * 32 + j] = step * static_cast<float>(value) - offset;
    }
  }
}

// Two halves of 128, each four runs of 32: runs 0 and 2 have the low and high nibbles of the first
// 32 bytes, 1 and 3 of the next; run r has bits [2r, 2r + 2) of the 32 top-bit bytes; every 16
// elements have a scale.
void q6_k(const uint8_t* in, float* out) {  // nibbles[128], top bits[64], int8 scales[16], d
  const float d = half(in + 208);
  for (int i = 0; i < 8; ++i) {
    const int part = i / 4, run = i % 4;
    const uint8_t* low = in + part * 64 + run % 2 * 32;
    const uint8_t* high = in + 128 + part * 32;
    const uint8_t* scales = in + 192 + i * 2;
    for (int j = 0; j < 32; ++j) {
      const int value = (low[j] >> (run / 2 * 4) & 15) | (high[j] >> (run * 2) & 3) << 4;
      const float scale = d * static_cast<float>(static_cast<int8_t>(scales[j / 16]));
      out[i * 32 + j] = scale * static_cast<float>(value - 32);
    }
  }
}

DequantizeBlock block_function(GgmlType type) {
  switch (type) {
    case GgmlType::kF32:
      return f32;
    case GgmlType::kF16:
      return f16;
    case GgmlType::kBF16:
      return bf16;
    case GgmlType::kQ4_0:
      return q4_0;
    case GgmlType::kQ4_1:
      return q4_1;
    case GgmlType::kQ5_0:
      return q5_0;
    case GgmlType::kQ5_1:
      return q5_1;
    case GgmlType::kQ8_0:
      return q8_0;
    case GgmlType::kQ4_K:
      return q4_k;
    case GgmlType::kQ5_K:
      return q5_k;
    case GgmlType::kQ6_K:
      return q6_k;
  }
  return nullptr;
}

}  // namespace

void ggml_dequantize(const GgmlTypeInfo& type, std::span<const std::byte> in,
                     std::span<float> out) {
  const DequantizeBlock function = block_function(type.type);
  const auto elements = static_cast<size_t>(type.block_elements);
  const auto bytes = static_cast<size_t>(type.block_bytes);
  OCTET_CHECK(
      function != nullptr && in.size() % bytes == 0 && in.size() / bytes * elements == out.size(),
      "{}: {} bytes to {} elements", type.name, in.size(), out.size());
  const auto* block = reinterpret_cast<const uint8_t*>(in.data());
  for (size_t i = 0; i < out.size(); i += elements, block += bytes) function(block, &out[i]);
}

}  // namespace octet
