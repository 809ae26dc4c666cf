#include "kernels/weight_blocks.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/check.h"

namespace octet {
namespace {

constexpr uint32_t kUnsigned = 0x80808080;  // w + 128, of four values

template <typename T>
void lay_out_columns(const std::array<const std::byte*, WeightBlocks::kBlock>& rows,
                     int64_t columns, std::byte* to) {
  T* out = reinterpret_cast<T*>(to);
  for (int64_t k = 0; k < columns; ++k) {
    for (const std::byte* row : rows) *out++ = reinterpret_cast<const T*>(row)[k];
  }
}

}  // namespace

WeightBlocks::WeightBlocks(DType dtype, bool grouped, std::span<const int64_t> cuts)
    : grouped_(grouped), element_(static_cast<int64_t>(dtype_size(dtype))) {
  OCTET_CHECK(!cuts.empty() && (!grouped || dtype == DType::kI8), "{} cuts of {}", cuts.size(),
              dtype_name(dtype));
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    const int64_t length = cuts[i + 1] - cuts[i];
    const int64_t padded = grouped ? (length + kGroup - 1) / kGroup * kGroup : length;
    shards_.push_back({cuts[i], cuts[i + 1], padded_columns_, padded});
    padded_columns_ += padded;
  }
}

void WeightBlocks::lay_out(const std::array<const std::byte*, kBlock>& rows, std::byte* to) const {
  const int64_t columns = shards_.empty() ? 0 : shards_.back().end;
  thread_local std::vector<std::byte> zeros;
  if (static_cast<int64_t>(zeros.size()) < columns * element_) zeros.resize(columns * element_);
  std::array<const std::byte*, kBlock> from;
  std::ranges::transform(rows, from.begin(),
                         [](const std::byte* row) { return row == nullptr ? zeros.data() : row; });
  if (!grouped_) {
    switch (element_) {
      case 1:
        return lay_out_columns<uint8_t>(from, columns, to);
      case 2:
        return lay_out_columns<uint16_t>(from, columns, to);
      default:
        return lay_out_columns<uint32_t>(from, columns, to);
    }
  }
  const auto add_group = [&](int64_t k, auto count) {
    for (const std::byte* row : from) {
      uint32_t group = 0;
      std::memcpy(&group, row + k, count);
      group ^= kUnsigned;
      std::memcpy(to, &group, kGroup);
      to += kGroup;
    }
  };
  for (const Shard& shard : shards_) {
    int64_t k = shard.begin;
    for (; k + kGroup <= shard.end; k += kGroup) {
      add_group(k, std::integral_constant<size_t, kGroup>());
    }
    if (k < shard.end) add_group(k, static_cast<size_t>(shard.end - k));
  }
}

}  // namespace octet
