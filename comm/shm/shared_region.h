// SharedRegion: memory that all ranks of one host see, laid out once: a line of counters for each
// rank, and each rank's buffers. Made for ranks that are threads (plain memory) or processes (a
// mapping). SharedCommunicator runs on top.
//
// The counters are monotonic, modulo 2^32. A rank writes only its own; peers wait for them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace octet {

struct alignas(64) RankLine {
  // Stages for which this rank's data are in place. What earlier operations gave it to read is let
  // go.
  std::atomic<uint32_t> published;
  std::atomic<uint32_t> waiters;  // sleeping until it grows
  std::atomic<int32_t> pid;       // 0: a thread of this process
};

struct RegionLayout {
  int size = 1;
  size_t buffer_floats = 0;  // of one send buffer
  size_t message_bytes = 0;  // of one message buffer

  static constexpr int kBuffers =
      2;  // of each kind: one is filled while peers may still read the other
  size_t bytes() const;
};

class SharedRegion {
 public:
  // `memory`: layout.bytes() zeroed bytes, aligned to 64; shared by all ranks' SharedRegion
  // objects.
  SharedRegion(std::shared_ptr<std::byte> memory, const RegionLayout& layout);

  const RegionLayout& layout() const { return layout_; }
  RankLine& line(int rank) const;
  std::atomic<uint32_t>& lost() const;                 // 0, or 1 + the rank that went first
  std::span<float> send(int rank, int which) const;    // [buffer_floats]
  std::span<float> result(int rank, int which) const;  // [buffer_floats]: sums of this rank's slice
  std::span<std::byte> message(int rank, int which) const;

 private:
  std::shared_ptr<std::byte> memory_;
  RegionLayout layout_;
};

}  // namespace octet
