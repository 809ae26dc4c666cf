#include "tests/comm/contract.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "kernels/fold.h"

namespace octet::testing {
namespace {

constexpr size_t kMebi = 1 << 20;

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

// Leaf `leaf` of element i in round `round`; magnitudes differ so much that the order of adding
// shows in the bits.
float leaf_value(uint32_t round, int leaf, size_t i) {
  uint32_t x = round * 2654435761u + static_cast<uint32_t>(leaf) * 40503u +
               static_cast<uint32_t>(i) * 2246822519u;
  x ^= x >> 15;
  x *= 2246822519u;
  x ^= x >> 13;
  const float magnitude = static_cast<float>(1u << (x % 20));
  return (static_cast<float>(x >> 8) / 16777216.0f - 0.5f) * magnitude;
}

// The definition: value(node) = value(left) + value(right), left of the largest power of two below
// the node's size.
float tree_value(uint32_t round, int begin, int end, size_t i) {
  if (end - begin == 1) return leaf_value(round, begin, i);
  int left = 1;
  while (left * 2 < end - begin) left *= 2;
  return tree_value(round, begin, begin + left, i) + tree_value(round, begin + left, end, i);
}

Tensor view_of(std::span<float> floats) {
  return Tensor::view(floats.data(), DType::kF32, {static_cast<int64_t>(floats.size())});
}

Tensor on_device(Backend& backend, std::span<float> values) {
  const Tensor memory = backend.allocate(DType::kF32, {static_cast<int64_t>(values.size())});
  backend.upload(view_of(values), memory);
  return memory;
}

// What the communicator has made of `memory`.
std::vector<float> read(Communicator& communicator, Backend& backend, const Tensor& memory) {
  std::vector<float> values(memory.numel());
  communicator.settle();
  backend.download(memory, view_of(values));
  return values;
}

// How all ranks take part in a sum.
struct Way {
  bool zero_copy = false, unfolded = false;
  static Way of(uint32_t draw) { return {draw % 2 == 0, draw / 2 % 2 == 0}; }
};

void check_reduce(Communicator& communicator, Backend& backend, int shards, size_t count,
                  uint32_t round, Way way) {
  const ReducePlan plan(shards, communicator.size());
  const auto nodes =
      subtree_roots(shards, rank_shards(shards, communicator.rank(), communicator.size()));
  std::vector<float> own(nodes.size() * count);
  for (size_t r = 0; r < nodes.size(); ++r) {
    for (size_t i = 0; i < count; ++i)
      own[r * count + i] = tree_value(round, nodes[r].begin, nodes[r].end, i);
  }
  Tensor roots;
  if (way.zero_copy) {
    roots = view_of(communicator.send_buffer(own.size()));
    backend.upload(view_of(own), roots);
  } else {
    roots = on_device(backend, own);
  }
  std::vector<float> before(count, -1);
  const Tensor sum = on_device(backend, before);
  UnfoldedSum unfolded;
  if (way.unfolded) {
    unfolded = communicator.all_reduce_unfolded(plan, roots.span<const float>(), sum.span<float>(),
                                                round % 3 == 0);
  } else {
    communicator.all_reduce_sum(plan, roots.span<const float>(), sum.span<float>());
  }
  std::vector<float> out = read(communicator, backend, sum);
  require(!way.unfolded || round % 3 != 0 || !communicator.shows() || !unfolded.empty(),
          "what is read in parts stays unfolded");
  if (!unfolded.empty()) {
    require(out == before, "an unfolded sum leaves `out` as it is");
    const bool late = static_cast<int>(round) % (3 * communicator.size()) == communicator.rank();
    if (late) std::this_thread::sleep_for(std::chrono::microseconds(300));
    fold(unfolded, 0, count, out.data());
  }
  size_t orders_that_show = 0;
  for (size_t i = 0; i < count; ++i) {
    const float expected = tree_value(round, 0, shards, i);
    require(
        std::memcmp(&out[i], &expected, sizeof expected) == 0,
        fmt::format("rank {} of {}: {} shards, {} floats: element {} is {}, must be {}",
                    communicator.rank(), communicator.size(), shards, count, i, out[i], expected));
    float in_order = 0;
    for (int leaf = 0; leaf < shards; ++leaf) in_order += leaf_value(round, leaf, i);
    orders_that_show += in_order != expected;
  }
  require(shards < 4 || count < 1000 || orders_that_show > count / 20,
          "the inputs do not show the order");
}

void check_gather(Communicator& communicator, Backend& backend, uint32_t round, size_t most) {
  const size_t rows = round % 4;
  std::vector<size_t> columns;
  size_t stride = 0;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    columns.push_back(rank % 3 == 1 ? 0 : (round * 7919 + rank * 104729) % (most + 1));
    stride += columns.back();
  }
  const int root = static_cast<int>(round) % communicator.size();
  std::vector<float> own(rows * columns[communicator.rank()]);
  for (size_t i = 0; i < own.size(); ++i) own[i] = leaf_value(round, communicator.rank(), i);
  const Tensor in = on_device(backend, own);
  std::vector<float> before_gather(communicator.rank() == root ? rows * stride : 0, -1);
  const Tensor joined = on_device(backend, before_gather);
  communicator.gather(in.span<const float>(), rows, columns, joined.span<float>(), root);
  const std::vector<float> out = read(communicator, backend, joined);
  if (communicator.rank() != root) return;
  size_t before = 0;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    for (size_t i = 0; i < rows * columns[rank]; ++i) {
      const size_t at = i / columns[rank] * stride + before + i % columns[rank];
      require(out[at] == leaf_value(round, rank, i),
              fmt::format("gather: element {} of rank {}", i, rank));
    }
    before += columns[rank];
  }
}

void check_show(Communicator& communicator, uint32_t round, size_t most) {
  if (!communicator.shows()) return;
  const auto size_of = [&](int rank) { return (round * 7919 + rank * 104729) % (most + 1); };
  std::vector<float> own(size_of(communicator.rank()));
  for (size_t i = 0; i < own.size(); ++i) own[i] = leaf_value(round, communicator.rank(), i);
  std::span<const float> from = own;
  if (round % 2 == 0) {
    const std::span<float> buffer = communicator.send_buffer(own.size());
    std::copy(own.begin(), own.end(), buffer.begin());
    from = buffer;
  }
  const std::span<const float* const> shown = communicator.show(from);
  require(std::ssize(shown) == communicator.size(), fmt::format("show: {} ranks", shown.size()));
  const bool late = static_cast<int>(round) % (3 * communicator.size()) == communicator.rank();
  if (late) std::this_thread::sleep_for(std::chrono::microseconds(300));
  for (int rank = 0; rank < communicator.size(); ++rank) {
    for (size_t i = 0; i < size_of(rank); ++i) {
      require(shown[rank][i] == leaf_value(round, rank, i),
              fmt::format("show: element {} of rank {}", i, rank));
    }
  }
}

void check_broadcast(Communicator& communicator, uint32_t round, size_t bytes) {
  const int root = static_cast<int>(round) % communicator.size();
  const auto byte = [&](size_t i) { return static_cast<std::byte>((i * 31 + round) & 0xFF); };
  std::vector<std::byte> message(communicator.rank() == root ? bytes : 0);
  for (size_t i = 0; i < message.size(); ++i) message[i] = byte(i);
  const auto received = communicator.broadcast(message, root);
  require(received.size() == bytes,
          fmt::format("broadcast: {} bytes, must be {}", received.size(), bytes));
  for (size_t i = 0; i < bytes; ++i)
    require(received[i] == byte(i), fmt::format("broadcast: byte {}", i));
}

}  // namespace

CommOptions contract_options() {
  return {.max_reduce_floats = 4 * kMebi,
          .max_message_bytes = 100000,
          .timeout = std::chrono::seconds(30)};
}

void check_reduces(Communicator& communicator, Backend& backend) {
  uint32_t round = 0;
  for (const int shards : {1, 3, 8}) {
    for (const size_t count :
         {size_t{0}, size_t{1}, size_t{1000}, size_t{16384}, size_t{16385}, kMebi}) {
      ++round;
      for (uint32_t draw = 0; draw < 2; ++draw) {
        check_reduce(communicator, backend, shards, count, round, Way::of(round + 2 * draw));
      }
    }
  }
}

void check_gathers(Communicator& communicator, Backend& backend) {
  for (const size_t most : {0, 1, 1000, 50000}) {
    for (uint32_t round = 0; round < 6; ++round) check_gather(communicator, backend, round, most);
  }
}

void check_broadcasts(Communicator& communicator, Backend&) {
  uint32_t round = 0;
  for (const size_t bytes : {0, 1, 8, 4088, 4089, 100000}) {
    for (int i = 0; i < 5; ++i) check_broadcast(communicator, ++round, bytes);
  }
}

// All ranks draw the same operations; each dawdles where it likes.
void check_random_sequence(Communicator& communicator, Backend& backend) {
  std::mt19937 common(7), own(static_cast<uint32_t>(communicator.rank()));
  for (uint32_t round = 0; round < 500; ++round) {
    if (own() % 40 == 0) std::this_thread::sleep_for(std::chrono::microseconds(own() % 3000));
    const size_t size = common() % 3000;
    switch (common() % 6) {
      case 0:
        check_gather(communicator, backend, round, size);
        break;
      case 1:
        check_broadcast(communicator, round, size);
        break;
      case 2:
        communicator.barrier();
        break;
      case 3:
        check_show(communicator, round, size);
        break;
      default:
        check_reduce(communicator, backend, 1 + static_cast<int>(common() % 9),
                     size % 20 == 0 ? 20000 : size, round, Way::of(common() % 4));
    }
  }
}

void check_many_small_reduces(Communicator& communicator, Backend& backend) {
  for (uint32_t round = 0; round < 2000; ++round)
    check_reduce(communicator, backend, 8, 16, round,
                 {.zero_copy = true, .unfolded = round % 2 == 0});
}

}  // namespace octet::testing
