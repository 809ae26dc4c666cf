// GGUF's element formats to fp32. Each block format stores runs of 32 or 256 elements as small
// integers with their scales (and minima); each element is delivered as the one fp32 expression
// that the format defines. Pure; any thread.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/formats/ggml_types.h"

namespace octet {

// REQUIRES: in is whole blocks, out has as many elements.
void ggml_dequantize(const GgmlTypeInfo& type, std::span<const std::byte> in, std::span<float> out);

}  // namespace octet
