// The loops by which the machine's limits are measured. Each is written for nothing but its rate.
#pragma once

#include <cstddef>
#include <cstdint>

namespace octet::bench {

// Reads [data, data + bytes) once, as four streams with a prefetch ahead of each. REQUIRES: data
// aligned to 64, bytes a multiple of 1024. Returns something of every line read.
uint64_t read_streams(const std::byte* data, size_t bytes);

// Multiply-adds on registers alone, enough independent sums for throughput to count; the best
// instruction that this machine has. Returns the operations done (a multiply-add is two).
double int8_multiply_adds(int rounds);
double float_multiply_adds(int rounds);
const char* int8_instruction();  // "amx-int8" | "avx512-vnni" | "avx2 maddubs"

}  // namespace octet::bench
