// Columns of ranks side by side: the layout of Communicator::gather.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>

namespace octet {

// Copies one rank's columns to where they stand among all ranks'.
inline void put_columns(const float* in,  // [rows, columns[rank]]
                        size_t rows, std::span<const size_t> columns, int rank,
                        float* out) {  // [rows, sum of columns]
  const size_t width = columns[rank];
  const size_t before = std::accumulate(columns.begin(), columns.begin() + rank, size_t{0});
  const size_t stride = std::accumulate(columns.begin(), columns.end(), size_t{0});
  for (size_t row = 0; row < rows; ++row) {
    std::copy_n(in + row * width, width, out + row * stride + before);
  }
}

}  // namespace octet
