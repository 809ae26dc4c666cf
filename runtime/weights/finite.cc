#include "runtime/weights/finite.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

// A value is not finite when all bits of its exponent are set. Blocks are looked at whole, which
// compilers turn into vectors.
template <typename Bits>
int64_t find_exponent(std::span<const Bits> values, Bits exponent) {
  constexpr size_t kBlock = 4096;
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const auto block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    Bits found = 0;
    for (const Bits bits : block) found |= Bits((bits & exponent) == exponent);
    if (found == 0) continue;
    const auto is_bad = [&](Bits bits) { return (bits & exponent) == exponent; };
    return static_cast<int64_t>(begin) + (std::ranges::find_if(block, is_bad) - block.begin());
  }
  return -1;
}

template <typename Bits>
std::span<const Bits> bits_of(const Tensor& values) {
  return {reinterpret_cast<const Bits*>(values.raw_data()), static_cast<size_t>(values.numel())};
}

std::string place_of(const TensorSlice& slice, const Shape& shape, int64_t at) {
  if (shape.rank() == 1) return fmt::format("[{}]", slice.begin + at);
  const int64_t row = at / shape[1] + (slice.axis == 0 ? slice.begin : 0);
  const int64_t column = at % shape[1] + (slice.axis == 1 ? slice.begin : 0);
  return fmt::format("[{}, {}]", row, column);
}

}  // namespace

int64_t find_non_finite(const Tensor& values) {
  switch (values.dtype()) {
    case DType::kF32:
      return find_exponent<uint32_t>(bits_of<uint32_t>(values), 0x7f800000);
    case DType::kF16:
      return find_exponent<uint16_t>(bits_of<uint16_t>(values), 0x7c00);
    case DType::kBF16:
      return find_exponent<uint16_t>(bits_of<uint16_t>(values), 0x7f80);
    default:
      return -1;
  }
}

void require_finite(const Checkpoint& checkpoint, const std::string& name, const TensorSlice& slice,
                    const Tensor& values) {
  const int64_t at = find_non_finite(values);
  if (at < 0) return;
  throw InputError(fmt::format("{}: tensor {}: element {} is {}", checkpoint.path().string(),
                               printable(name), place_of(slice, values.shape(), at),
                               element(values, at)));
}

}  // namespace octet
