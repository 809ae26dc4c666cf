// Philox4x32-10, a counter-based random generator (Salmon et al. 2011, "Parallel random numbers: as
// easy as 1, 2, 3"): the draw for a position needs no state, so a replayed request draws the same
// numbers again.
#pragma once

#include <array>
#include <cstdint>

namespace octet {

// Ten rounds over `counter` under `key`.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1), 53 bits, a function of (seed, position) alone.
double uniform_draw(uint64_t seed, uint64_t position);

}  // namespace octet
