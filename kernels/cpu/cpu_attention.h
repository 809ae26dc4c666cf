// CpuAttention: Backend::attention cut into tasks for a pool's threads. A task is a tile of query
// rows over all that it sees. Where tiles are few (decode steps of few sequences over long
// contexts) a task is one split of a tile, and a second pass joins the splits in order: the same
// bits. Holds the threads' scratch. One thread, but for the pool's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"

namespace octet::cpu {

// How a cache's elements lie.
CacheFormat cache_format(const KVCacheView& cache);

class CpuAttention {
 public:
  CpuAttention(const KernelTable& kernels, int threads);

  size_t bytes() const { return scratch_.bytes() + splits_.bytes(); }
  void reserve(int64_t max_rows) { runs_.reserve(max_rows); }
  void apply(const KernelTable& kernels, ThreadPool& pool, const AttentionArgs& args);

 private:
  // Tokens [begin, end) of a call, all of one sequence, which see `splits` splits from
  // `first_split` on. `first_task` and `first_row` count the splits of the tiles of all runs before
  // it, and the rows of these.
  struct Run {
    int32_t sequence, begin, end;
    int position;  // of the first token
    int first_split, splits;
    int64_t first_task, first_row;
  };
  class Call;

  void plan(const Call& call);
  void run_splits(const KernelTable& kernels, ThreadPool& pool, const Call& call);

  std::vector<Run> runs_;
  int64_t tasks_ = 0, rows_ = 0;  // of all runs: splits of tiles, and their rows
  Tensor scratch_;                // of each thread: a tile's
  Tensor splits_;                 // of each row of each split of a tile: its part, then all sums
};

}  // namespace octet::cpu
