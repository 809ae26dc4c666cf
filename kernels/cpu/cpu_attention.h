// CpuAttention: Backend::attention cut into tasks for a pool's threads. A task is a tile of query
// rows, run over all it sees; where there are few of those (decode steps of few sequences over long
// contexts), a split of one, and what the splits give is joined afterwards, in order: the same
// bits. Holds the threads' scratch. One thread, but for the pool's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/thread_pool.h"

namespace octet::cpu {

class CpuAttention {
 public:
  void reserve(int64_t max_rows) { runs_.reserve(max_rows); }
  void apply(const KernelTable& kernels, ThreadPool& pool, const AttentionArgs& args);

 private:
  // Tokens [begin, end) of a call, all of one sequence, which see `splits` splits from
  // `first_split` on. The splits of its first tile are the call's parts from first_part on; the
  // next tile's follow.
  struct Run {
    int32_t sequence, begin, end;
    int position;  // of the first token
    int first_split, splits;
    int64_t first_part;
  };
  class Call;

  void plan(const Call& call);
  void run_splits(const KernelTable& kernels, ThreadPool& pool, const Call& call);

  std::vector<Run> runs_;
  std::vector<float> scratch_;  // of each thread: a tile's
  std::vector<float> parts_;    // of each part, of each row
  std::vector<AttentionSum> sums_;
};

}  // namespace octet::cpu
