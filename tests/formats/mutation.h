// Damaged copies of a file, for fuzz tests: the same ones on every run.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>

namespace octet {

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  uint64_t below(uint64_t bound) { return random_() % bound; }

  // One of: a flipped bit, a cut, a run of equal or random bytes, an extreme 4- or 8-byte number,
  // bytes taken out or put in twice. Never the same as `bytes`. REQUIRES: not empty.
  std::string mutate(const std::string& bytes) {
    std::string mutated;
    do {
      mutated = bytes;
      once(mutated);
    } while (mutated == bytes);
    return mutated;
  }

 private:
  void once(std::string& bytes) {
    const size_t at = below(bytes.size());
    const size_t run = std::min<size_t>(1 + below(16), bytes.size() - at);
    switch (below(8)) {
      case 0:
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.replace(at, run, run, static_cast<char>(below(2) ? 0xff : below(256)));
        break;
      case 4:
        extreme(bytes, at);
        break;
      case 5:
        bytes.erase(at, run);
        break;
      case 6:
        bytes.insert(at, bytes.substr(at, run));
        break;
      default:
        for (size_t i = at; i < at + run; ++i) bytes[i] = static_cast<char>(below(256));
    }
  }

  void extreme(std::string& bytes, size_t at) {
    constexpr std::array<uint64_t, 8> kExtremes = {
        0, 1, UINT64_MAX, INT64_MAX, uint64_t{1} << 63, UINT32_MAX, INT32_MAX, uint64_t{1} << 40};
    const uint64_t value = kExtremes[below(kExtremes.size())];
    const size_t width = std::min<size_t>(below(2) ? 4 : 8, bytes.size() - at);
    bytes.replace(at, width, reinterpret_cast<const char*>(&value), width);
  }

  std::mt19937_64 random_;
};

}  // namespace octet
