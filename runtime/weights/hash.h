// XXH3 (64 bits) of bytes, and of a tensor's parts.
#pragma once

#include <xxhash.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/weights/partition.h"

namespace octet {

uint64_t hash_bytes(std::span<const std::byte> bytes);
std::string hash_text(uint64_t hash);                           // 16 lower-case hex digits
std::optional<uint64_t> hash_from_text(std::string_view text);  // nullopt: not exactly that

// Of bytes that come a piece at a time. One thread.
class Hasher {
 public:
  Hasher();
  void add(std::span<const std::byte> bytes);
  uint64_t finish() const;

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

// Hashes the parts of a tensor from its rows, given in order, any number at a time. A part of axis
// 0 is a run of rows; a part of axis 1 is a run of columns, whose hash is that of the hashes of its
// pieces of rows, in order. One thread.
class PartHasher {
 public:
  // cuts: in rows (axis 0) or columns (axis 1), of those rows that will be given; column_bytes: of
  // one element.
  PartHasher(int axis, std::vector<int64_t> cuts, uint64_t row_bytes, uint64_t column_bytes);

  void add_rows(std::span<const std::byte> rows);  // whole rows
  std::vector<uint64_t> finish() const;

 private:
  int axis_;
  std::vector<int64_t> cuts_;
  uint64_t row_bytes_, column_bytes_;
  int64_t rows_ = 0;                           // so far
  size_t part_ = 0;                            // axis 0: of the next row
  std::vector<Hasher> parts_;                  // of axis 0
  std::vector<std::vector<uint64_t>> pieces_;  // of axis 1: of each part, its rows'
};

}  // namespace octet
