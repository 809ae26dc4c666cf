// fp32 rows to symmetric int8, one scale a row. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>

namespace octet {

// q = x / scale to the nearest integer, ties to even, within +-127; scale = max|x| / 127, 0 (and
// all q 0) for a row of zeros. REQUIRES: finite values, as many in q as in row.
float quantize_row(std::span<const float> row, std::span<int8_t> q);

}  // namespace octet
