#include "comm/shm/shared_region.h"

#include <utility>

namespace octet {
namespace {

constexpr size_t kPage = 4096;

size_t pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

struct Offsets {
  explicit Offsets(const RegionLayout& layout)
      : lines(64), floats(pages(lines + layout.size * sizeof(RankLine))) {
    float_stride = pages(layout.buffer_floats * sizeof(float));
    messages = floats + 2 * RegionLayout::kBuffers * layout.size * float_stride;
    message_stride = pages(layout.message_bytes);
    end = messages + RegionLayout::kBuffers * layout.size * message_stride;
  }
  size_t lines, floats, float_stride = 0, messages = 0, message_stride = 0, end = 0;
};

}  // namespace

size_t RegionLayout::bytes() const { return Offsets(*this).end; }

SharedRegion::SharedRegion(std::shared_ptr<std::byte> memory, const RegionLayout& layout)
    : memory_(std::move(memory)), layout_(layout) {}

std::atomic<uint32_t>& SharedRegion::lost() const {
  return *reinterpret_cast<std::atomic<uint32_t>*>(memory_.get());
}

RankLine& SharedRegion::line(int rank) const {
  return reinterpret_cast<RankLine*>(memory_.get() + Offsets(layout_).lines)[rank];
}

std::span<float> SharedRegion::send(int rank, int which) const {
  const Offsets at(layout_);
  const size_t index = static_cast<size_t>(rank) * RegionLayout::kBuffers + which;
  return {reinterpret_cast<float*>(memory_.get() + at.floats + index * at.float_stride),
          layout_.buffer_floats};
}

std::span<float> SharedRegion::result(int rank, int which) const {
  return {send(rank + layout_.size, which).data(), layout_.buffer_floats};
}

std::span<std::byte> SharedRegion::message(int rank, int which) const {
  const Offsets at(layout_);
  const size_t index = static_cast<size_t>(rank) * RegionLayout::kBuffers + which;
  return {memory_.get() + at.messages + index * at.message_stride, layout_.message_bytes};
}

}  // namespace octet
