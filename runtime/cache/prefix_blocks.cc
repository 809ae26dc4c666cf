#include "runtime/cache/prefix_blocks.h"

namespace octet {

PrefixBlocks::PrefixBlocks(int num_blocks) : keys_(num_blocks, entries_.end()) {}

PrefixBlocks::Entry PrefixBlocks::find(Prefix before, std::span<const int32_t> tokens) const {
  const auto found = entries_.find({before, {tokens.begin(), tokens.end()}});
  return found == entries_.end() ? Entry{} : found->second;
}

PrefixBlocks::Prefix PrefixBlocks::add(Prefix before, std::span<const int32_t> tokens,
                                       int32_t block) {
  const auto [place, is_new] = entries_.try_emplace({before, {tokens.begin(), tokens.end()}});
  if (is_new) {
    place->second = {.prefix = ++last_, .block = block};
    keys_[block] = place;
  }
  return place->second.prefix;
}

void PrefixBlocks::forget(int32_t block) {
  if (!has(block)) return;
  entries_.erase(keys_[block]);
  keys_[block] = entries_.end();
}

}  // namespace octet
