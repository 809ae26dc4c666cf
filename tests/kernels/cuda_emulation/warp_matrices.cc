#include "tests/kernels/cuda_emulation/warp_matrices.h"

#include <algorithm>
#include <cstring>

namespace cuda_emulation {
namespace {

constexpr int kInFlight = 0xC3;

void perform(const Copy& copy) {
  if (copy.bytes > 0) std::memcpy(copy.to, copy.from, copy.bytes);
  std::memset(static_cast<char*>(copy.to) + copy.bytes, 0, copy.zeros);
}

struct Phase {
  uint64_t missing : 20, arrivals : 20, parity : 1;
  int64_t bytes : 23;
};
static_assert(sizeof(Phase) == 8);

Phase* phase_at(uint64_t* barrier, const Block& block = *current->block) {
  block.require_shared(barrier, sizeof(Phase), "an mbarrier");
  return reinterpret_cast<Phase*>(barrier);
}

void end_if_complete(Phase* phase) {
  if (phase->missing != 0 || phase->bytes != 0) return;
  phase->missing = phase->arrivals;
  phase->parity ^= 1;
}

// 32 bytes of row r of a swizzled tile.
void read_row(uint64_t tile, unsigned r, int8_t (&row)[32]) {
  for (unsigned k = 0; k < 32; k += 16) {
    const uint64_t at = tile + r * 64 + k;
    const std::byte* from = current->block->shared().data() + (at ^ (at >> 7 & 3) << 4);
    current->block->require_shared(from, 16, "a product of a warp group");
    std::memcpy(row + k, from, 16);
  }
}

}  // namespace

void issue_copy(void* to, const void* from, unsigned bytes, unsigned zeros) {
  const auto misaligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 != 0; };
  current->block->require_shared(to, 16, "cp.async");
  if (misaligned(to) || (bytes > 0 && misaligned(from))) {
    current->block->fail("cp.async of misaligned bytes");
  }
  std::memset(to, kInFlight, bytes + zeros);
  current->copies.back().push_back({.to = to, .from = from, .bytes = bytes, .zeros = zeros});
}

void finish_copies(unsigned flying) {
  auto& groups = current->copies;
  while (groups.size() > flying + 1) {
    for (const Copy& copy : groups.front()) perform(copy);
    groups.erase(groups.begin());
  }
}

void finish_products(unsigned flying) {
  auto& groups = current->products;
  while (groups.size() > flying + 1) {
    for (const auto& product : groups.front()) product();
    groups.erase(groups.begin());
  }
}

void phase_init(uint64_t* barrier, int count) {
  Phase* phase = phase_at(barrier);
  *phase = {};
  phase->missing = phase->arrivals = static_cast<unsigned>(count);
}

void phase_arrive(uint64_t* barrier, int expected_bytes, Block& block) {
  Phase* phase = phase_at(barrier, block);
  if (phase->missing == 0) current->block->fail("more arrivals at an mbarrier than it has");
  phase->bytes = phase->bytes + expected_bytes;
  phase->missing = phase->missing - 1;
  end_if_complete(phase);
}

bool phase_ended(uint64_t* barrier, int parity) {
  Phase* phase = phase_at(barrier);
  const auto ended = [&] { return phase->parity != static_cast<unsigned>(parity); };
  if (ended()) return true;
  auto& copies = current->block->bulk_copies();
  std::erase_if(copies, [&](const Copy& copy) {
    if (copy.barrier != barrier) return false;
    perform(copy);
    phase->bytes = phase->bytes - static_cast<int64_t>(copy.bytes + copy.zeros);
    return true;
  });
  end_if_complete(phase);
  return ended();
}

void issue_bulk_copy(void* to, const void* from, int bytes, uint64_t* barrier, Block& block) {
  block.require_shared(to, static_cast<size_t>(bytes), "a bulk copy");
  if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from) |
       static_cast<unsigned>(bytes)) %
          16 !=
      0) {
    current->block->fail("a bulk copy of misaligned bytes");
  }
  std::memset(to, kInFlight, static_cast<size_t>(bytes));
  const auto count = static_cast<unsigned>(bytes);
  block.bulk_copies().push_back({.to = to,
                                 .from = from,
                                 .bytes = from != nullptr ? count : 0,
                                 .zeros = from != nullptr ? 0 : count,
                                 .barrier = barrier});
}

void load_matrices(uint32_t (&r)[4], const void* row, bool transposed, Site site) {
  current->block->require_shared(row, 16, "ldmatrix");
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) current->block->fail("ldmatrix: misaligned row");
  struct Lane {
    const void* row;
    uint32_t* r;
  } mine{row, r};
  meet(kAllLanes, "ldmatrix", site, mine, [&](const std::array<Lane*, kWarp>& lanes) {
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
      uint16_t values[8][8];
      for (unsigned i = 0; i < 8; ++i) std::memcpy(values[i], lanes[matrix * 8 + i]->row, 16);
      for (unsigned lane = 0; lane < kWarp; ++lane) {
        const unsigned g = lane / 4, t = lane % 4 * 2;
        const uint32_t first = transposed ? values[t][g] : values[g][t];
        const uint32_t second = transposed ? values[t + 1][g] : values[g][t + 1];
        lanes[lane]->r[matrix] = first | second << 16;
      }
    }
  });
}

void warp_group_part(int32_t* d, int n, uint64_t a, uint64_t b) {
  const unsigned g = current->lane() / 4, t = current->lane() % 4;
  const unsigned first_row = current->warp() % 4 * 16;
  int8_t rows[2][32], column[32];
  for (unsigned half = 0; half < 2; ++half) read_row(a, first_row + g + 8 * half, rows[half]);
  for (int i = 0; i < n / 4; ++i) {
    read_row(b, static_cast<unsigned>(i / 2 * 8 + i % 2) + 2 * t, column);
    for (int half = 0; half < 2; ++half) {
      int32_t& sum = d[i / 2 * 4 + 2 * half + i % 2];
      for (unsigned k = 0; k < 32; ++k) sum += rows[half][k] * column[k];
    }
  }
}

}  // namespace cuda_emulation
