// Scheduler: continuous batching with chunked prefill over a paged KV cache. Each step it picks,
// within the token budget, tokens of many sequences, prefill and decode alike, and lays them out as
// one ModelInput.
//
// Order: running sequences in order of arrival, then waiting ones. When blocks run out, the
// sequence that came last gives its blocks up and waits again; its tokens are kept and computed
// anew later, which changes no bit (contract 1). With prefix_caching a sequence that enters begins
// with the blocks that hold its first tokens already, computed in an earlier step or in this one: a
// step stores all its keys and values in a layer before it reads any. One thread; leader only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "runtime/cache/block_allocator.h"
#include "runtime/cache/prefix_blocks.h"
#include "runtime/engine/sequence.h"
#include "runtime/layers/model_input.h"

namespace octet {

struct SchedulerConfig {
  int max_num_seqs = 0;            // sequences in a step
  int max_num_batched_tokens = 0;  // tokens in a step
  bool chunked_prefill = true;     // off: a sequence's pending tokens go into one step or wait
  bool prefix_caching = false;     // on: blocks that hold the same beginning are computed once
  int block_size = 0;
  int num_blocks = 0;
};

// Which logits row of the step belongs to what.
struct SampledRow {
  Sequence* sequence = nullptr;
  int position = 0;  // of the token whose logits these are
  bool sample =
      false;  // the next token is to be drawn; else only the prompt's next token is scored
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerConfig& config);
  ~Scheduler();

  void add(std::unique_ptr<Sequence> sequence);  // REQUIRES: fits the cache alone

  // Takes the sequence out, its blocks given back; nullptr when there is none with this id.
  std::unique_ptr<Sequence> remove(uint64_t request_id);

  // The next step; false when nothing is live. `rows` are in the order of input.sampled_rows.
  // Afterwards the scheduled tokens count as computed; the caller appends sampled tokens to their
  // sequences before the next call.
  bool schedule(ModelInput& input, std::vector<SampledRow>& rows);

  bool empty() const { return running_.empty() && waiting_.empty(); }
  int num_running() const { return static_cast<int>(running_.size()); }
  int num_waiting() const { return static_cast<int>(waiting_.size()); }
  int free_blocks() const { return allocator_.free(); }
  int total_blocks() const { return allocator_.total(); }
  int64_t preemptions() const { return preemptions_; }
  std::vector<uint64_t> live_ids() const;

 private:
  int blocks_for(int tokens) const {
    return (tokens + config_.block_size - 1) / config_.block_size;
  }
  std::span<const int32_t> tokens_of_block(const Sequence& sequence, int block) const;
  int chunk(const Sequence& sequence, int budget) const;
  void adopt(Sequence& sequence);     // the known blocks of its beginning
  void remember(Sequence& sequence);  // its full blocks
  bool reserve(Sequence& sequence,
               int tokens);  // blocks for the first `tokens` positions; false: too few are free
  void release(Sequence& sequence);
  void preempt_last();
  void lay_out(Sequence& sequence, int count, ModelInput& input, std::vector<SampledRow>& rows);
  void fill_block_tables(ModelInput& input) const;

  SchedulerConfig config_;
  BlockAllocator allocator_;
  PrefixBlocks known_;
  std::deque<std::unique_ptr<Sequence>> running_;  // in order of arrival
  std::deque<std::unique_ptr<Sequence>> waiting_;
  std::vector<const Sequence*> scheduled_;  // this step's, in order
  int64_t preemptions_ = 0;
};

}  // namespace octet
