// Arena: one block of memory taken at start, handed out in order, taken back all at once. A step
// allocates from here and from nowhere else. Not thread-safe: one arena, one thread.
#pragma once

#include <cstddef>

#include "kernels/tensor.h"

namespace octet {

class Arena {
 public:
  static constexpr size_t kAlignment = 64;

  explicit Arena(Tensor block);  // shares the block's storage; any dtype

  // REQUIRES (checked): the block has room. Contents are whatever was there.
  Tensor allocate(DType dtype, Shape shape);

  size_t used() const { return used_; }
  size_t capacity() const { return block_.bytes(); }
  size_t high_water() const { return high_water_; }

  // Takes back everything allocated since `mark` (a former used()).
  void release(size_t mark = 0);

 private:
  Tensor block_;
  size_t used_ = 0;
  size_t high_water_ = 0;
};

// The bytes allocate() takes for such a tensor, padding included; for sizing a block.
size_t arena_bytes(DType dtype, const Shape& shape);

}  // namespace octet
