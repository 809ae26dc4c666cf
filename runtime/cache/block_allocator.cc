#include "runtime/cache/block_allocator.h"

#include "kernels/check.h"

namespace octet {

BlockAllocator::BlockAllocator(int num_blocks) : total_(num_blocks), taken_(num_blocks, false) {
  OCTET_CHECK(num_blocks > 0, "num_blocks {}", num_blocks);
  free_.reserve(num_blocks);
  for (int block = num_blocks - 1; block >= 0; --block) free_.push_back(block);
}

BlockAllocator::~BlockAllocator() {
  OCTET_CHECK(free() == total_, "{} of {} blocks were not given back", total_ - free(), total_);
}

int32_t BlockAllocator::take() {
  OCTET_CHECK(!free_.empty(), "no free block of {}", total_);
  const int32_t block = free_.back();
  free_.pop_back();
  taken_[block] = true;
  return block;
}

void BlockAllocator::give(int32_t block) {
  OCTET_CHECK(block >= 0 && block < total_ && taken_[block], "block {} of {} is not taken", block,
              total_);
  taken_[block] = false;
  free_.push_back(block);
}

}  // namespace octet
