#include "runtime/cache/block_allocator.h"

#include "kernels/check.h"

namespace octet {

BlockAllocator::BlockAllocator(int num_blocks) {
  OCTET_CHECK(num_blocks > 0, "num_blocks {}", num_blocks);
  holders_.resize(num_blocks, 0);
  for (int block = 0; block < num_blocks; ++block) {
    place_.push_back(free_.insert(free_.end(), block));
  }
}

BlockAllocator::~BlockAllocator() {
  OCTET_CHECK(free() == total(), "{} of {} blocks were not given back", total() - free(), total());
}

int32_t BlockAllocator::take() {
  OCTET_CHECK(!free_.empty(), "no free block of {}", total());
  const int32_t block = free_.front();
  share(block);
  return block;
}

void BlockAllocator::share(int32_t block) {
  OCTET_CHECK(block >= 0 && block < total(), "block {} of {}", block, total());
  if (holders_[block]++ == 0) free_.erase(place_[block]);
}

bool BlockAllocator::drop(int32_t block) {
  OCTET_CHECK(block >= 0 && block < total() && holders_[block] > 0, "block {} of {} is not taken",
              block, total());
  return --holders_[block] == 0;
}

void BlockAllocator::give(int32_t block) {
  if (drop(block)) place_[block] = free_.insert(free_.begin(), block);
}

void BlockAllocator::give_to_keep(int32_t block) {
  if (drop(block)) place_[block] = free_.insert(free_.end(), block);
}

}  // namespace octet
