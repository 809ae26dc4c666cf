// Element types and the conversions between float formats (round to nearest even; NaN stays NaN).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace octet {

enum class DType : uint8_t { kF32, kF16, kBF16, kI8, kU8, kI32, kI64 };

size_t dtype_size(DType dtype);            // bytes of one element
std::string_view dtype_name(DType dtype);  // safetensors' names: "F32", "BF16", "I8", ...
std::optional<DType> dtype_from_name(std::string_view name);  // nullopt: not one of the names above

float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

}  // namespace octet
