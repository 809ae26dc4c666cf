// BlockAllocator: a free list of KV cache blocks. Leader only; not thread-safe.
//
// Invariant: every block is free or was handed out once; the destructor proves that all came back.
#pragma once

#include <cstdint>
#include <vector>

namespace octet {

class BlockAllocator {
 public:
  explicit BlockAllocator(int num_blocks);  // REQUIRES: num_blocks > 0
  ~BlockAllocator();
  BlockAllocator(const BlockAllocator&) = delete;
  BlockAllocator& operator=(const BlockAllocator&) = delete;

  int total() const { return total_; }
  int free() const { return static_cast<int>(free_.size()); }

  int32_t take();            // REQUIRES: free() > 0
  void give(int32_t block);  // REQUIRES: handed out and not given back

 private:
  int total_;
  std::vector<int32_t> free_;
  std::vector<bool> taken_;
};

}  // namespace octet
