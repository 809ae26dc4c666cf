// BlockAllocator: KV cache blocks, counted by holders. Leader only; not thread-safe.
//
// A block is free or has holders; the destructor proves that all were given back. What a block
// holds stays in it while it is free, until it is taken again; those that are kept are taken last,
// in the order in which they were given back.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

namespace octet {

class BlockAllocator {
 public:
  explicit BlockAllocator(int num_blocks);  // REQUIRES: num_blocks > 0
  ~BlockAllocator();
  BlockAllocator(const BlockAllocator&) = delete;
  BlockAllocator& operator=(const BlockAllocator&) = delete;

  int total() const { return static_cast<int>(holders_.size()); }
  int free() const { return static_cast<int>(free_.size()); }

  int32_t take();                    // a free block's first holder; REQUIRES: free() > 0
  void share(int32_t block);         // one holder more, of a free block too
  void give(int32_t block);          // one holder less; REQUIRES: it has one
  void give_to_keep(int32_t block);  // the same for a block whose contents may be of use again

 private:
  bool drop(int32_t block);  // true: nobody holds it any more

  std::list<int32_t> free_;                          // taken from the front
  std::vector<std::list<int32_t>::iterator> place_;  // of a free block in free_
  std::vector<int> holders_;
};

}  // namespace octet
