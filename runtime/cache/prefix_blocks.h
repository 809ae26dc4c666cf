// PrefixBlocks: which full blocks of the KV cache hold which beginnings of sequences, so that a
// sequence that begins like another need not compute that beginning again. Keys and values depend
// on the tokens up to theirs alone (contract 1), so a shared block holds the bits that would have
// been computed. Beginnings are compared token by token, never by a hash alone. Leader only; not
// thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace octet {

class PrefixBlocks {
 public:
  // A beginning of whole blocks; Prefix{}: the empty one. Never used again once it is forgotten.
  using Prefix = uint64_t;

  struct Entry {
    Prefix prefix = 0;   // with this block's tokens at its end
    int32_t block = -1;  // -1: no block is known to hold it
  };

  explicit PrefixBlocks(int num_blocks);

  // The block that holds `tokens` after `before`.
  Entry find(Prefix before, std::span<const int32_t> tokens) const;

  // `block` holds `tokens` after `before`, or will when the step that is laid out has run. Returns
  // the longer prefix. A beginning that is known stays with its block.
  Prefix add(Prefix before, std::span<const int32_t> tokens, int32_t block);

  bool has(int32_t block) const { return keys_[block] != entries_.end(); }
  void forget(int32_t block);  // it will hold something else

 private:
  using Key = std::pair<Prefix, std::vector<int32_t>>;

  std::map<Key, Entry> entries_;
  std::vector<std::map<Key, Entry>::iterator> keys_;  // of each block; end(): none
  Prefix last_ = 0;
};

}  // namespace octet
