// What this machine can do at most, measured by the program that reports shares of it.
#pragma once

#include <cstdint>

namespace octet::bench {

struct Limits {
  double read = 0;           // bytes/s from memory
  double l2 = 0, l3 = 0;     // bytes/s from the caches
  double int8 = 0, f32 = 0;  // operations/s on registers
  // The least time for moving `bytes` through memory and computing; they overlap.
  double seconds(double bytes, double int8_ops, double f32_ops = 0) const;
};

// Bytes to be read in turn, so that most come from memory: three times what the last-level cache of
// a processor holds, and at least 512 MiB. Throws InputError where memory has no room for them.
int64_t bytes_beyond_caches();

// Measures with `threads` threads at once, printing a line each.
Limits measure_limits(int threads);

}  // namespace octet::bench
