#include "runtime/weights/quantize_rows.h"

#include <algorithm>
#include <cmath>

namespace octet {

float quantize_row(std::span<const float> row, std::span<int8_t> q) {
  float absmax = 0;
  for (float x : row) absmax = std::max(absmax, std::fabs(x));
  const float scale = absmax / 127.0f;
  if (scale == 0) {
    std::ranges::fill(q, int8_t{0});
    return 0;
  }
  for (size_t i = 0; i < row.size(); ++i) {
    const float nearest = std::nearbyint(row[i] / scale);
    q[i] = static_cast<int8_t>(std::clamp(nearest, -127.0f, 127.0f));
  }
  return scale;
}

}  // namespace octet
