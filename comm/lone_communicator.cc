#include "comm/lone_communicator.h"

#include <algorithm>

#include "comm/columns.h"
#include "kernels/check.h"

namespace octet {

std::span<float> LoneCommunicator::send_buffer(size_t count) {
  OCTET_CHECK(count <= buffer_.size(), "{} floats of {}", count, buffer_.size());
  return std::span(buffer_).first(count);
}

void LoneCommunicator::all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                                      std::span<float> out) {
  OCTET_CHECK(
      plan.size() == size_ && roots.size() == static_cast<size_t>(plan.num_roots(0)) * out.size(),
      "a plan of {} ranks for {}, {} floats for {}", plan.size(), size_, roots.size(), out.size());
  if (roots.empty()) return;
  std::ranges::copy(roots.first(out.size()), out.begin());
  for (size_t first = out.size(); first < roots.size(); first += out.size()) {
    for (size_t i = 0; i < out.size(); ++i) out[i] += roots[first + i];
  }
}

void LoneCommunicator::gather(std::span<const float> in, size_t rows,
                              std::span<const size_t> columns, std::span<float> out, int root) {
  OCTET_CHECK(root == 0 && in.size() == rows * columns[0] && in.size() <= out.size(),
              "root {}, {} floats into {}", root, in.size(), out.size());
  std::ranges::fill(out, 0.0f);
  put_columns(in.data(), rows, columns, 0, out.data());
}

std::span<const std::byte> LoneCommunicator::broadcast(std::span<const std::byte> message,
                                                       int root) {
  OCTET_CHECK(root == 0, "root {}", root);
  return message;
}

}  // namespace octet
