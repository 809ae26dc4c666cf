#include "runtime/engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "kernels/check.h"
#include "runtime/sampling/sampler.h"

namespace octet {

Scheduler::Scheduler(const SchedulerConfig& config)
    : config_(config), allocator_(config.num_blocks), known_(config.num_blocks) {
  OCTET_CHECK(config.max_num_seqs > 0 && config.max_num_batched_tokens >= config.max_num_seqs,
              "max_num_seqs {} max_num_batched_tokens {}", config.max_num_seqs,
              config.max_num_batched_tokens);
}

Scheduler::~Scheduler() {
  for (const auto& sequence : running_) release(*sequence);
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) { waiting_.push_back(std::move(sequence)); }

std::unique_ptr<Sequence> Scheduler::remove(uint64_t request_id) {
  for (auto* queue : {&running_, &waiting_}) {
    const auto place = std::find_if(queue->begin(), queue->end(), [&](const auto& sequence) {
      return sequence->request.id == request_id;
    });
    if (place == queue->end()) continue;
    std::unique_ptr<Sequence> sequence = std::move(*place);
    queue->erase(place);
    release(*sequence);
    return sequence;
  }
  return nullptr;
}

std::vector<uint64_t> Scheduler::live_ids() const {
  std::vector<uint64_t> ids;
  for (const auto* queue : {&running_, &waiting_}) {
    for (const auto& sequence : *queue) ids.push_back(sequence->request.id);
  }
  return ids;
}

int Scheduler::chunk(const Sequence& sequence, int budget) const {
  const int pending = sequence.num_pending();
  if (pending > budget && !config_.chunked_prefill) return 0;
  return std::min(pending, budget);
}

std::span<const int32_t> Scheduler::tokens_of_block(const Sequence& sequence, int block) const {
  const auto size = static_cast<size_t>(config_.block_size);
  return std::span(sequence.tokens).subspan(static_cast<size_t>(block) * size, size);
}

void Scheduler::adopt(Sequence& sequence) {
  if (!config_.prefix_caching) return;
  const int most = sequence.first_wanted() / config_.block_size;
  while (sequence.num_known_blocks < most) {
    const PrefixBlocks::Entry entry =
        known_.find(sequence.prefix, tokens_of_block(sequence, sequence.num_known_blocks));
    if (entry.block < 0) break;
    allocator_.share(entry.block);
    sequence.blocks.push_back(entry.block);
    sequence.prefix = entry.prefix;
    ++sequence.num_known_blocks;
  }
  sequence.num_computed = sequence.num_known_blocks * config_.block_size;
}

void Scheduler::remember(Sequence& sequence) {
  if (!config_.prefix_caching) return;
  for (int& i = sequence.num_known_blocks; i < sequence.num_computed / config_.block_size; ++i) {
    sequence.prefix = known_.add(sequence.prefix, tokens_of_block(sequence, i), sequence.blocks[i]);
  }
}

bool Scheduler::reserve(Sequence& sequence, int tokens) {
  const int missing = blocks_for(tokens) - static_cast<int>(sequence.blocks.size());
  if (missing > allocator_.free()) return false;
  for (int i = 0; i < missing; ++i) {
    sequence.blocks.push_back(allocator_.take());
    known_.forget(sequence.blocks.back());
  }
  return true;
}

void Scheduler::release(Sequence& sequence) {
  while (!sequence.blocks.empty()) {  // the last first: a beginning is of use to more than its ends
    const int32_t block = sequence.blocks.back();
    sequence.blocks.pop_back();
    known_.has(block) ? allocator_.give_to_keep(block) : allocator_.give(block);
  }
  sequence.num_computed = sequence.num_known_blocks = 0;
  sequence.prefix = 0;
}

void Scheduler::preempt_last() {
  release(*running_.back());
  waiting_.push_front(std::move(running_.back()));
  running_.pop_back();
  ++preemptions_;
}

bool Scheduler::schedule(ModelInput& input, std::vector<SampledRow>& rows) {
  input.clear();
  rows.clear();
  scheduled_.clear();
  if (empty()) return false;
  int budget = config_.max_num_batched_tokens;
  input.cu_seqlens.push_back(0);

  bool preempted = false;
  for (size_t i = 0; i < running_.size() && budget > 0; ++i) {
    const int count = chunk(*running_[i], budget);
    if (count == 0) continue;
    while (!reserve(*running_[i], running_[i]->num_computed + count)) {
      preempt_last();
      preempted = true;
      if (i == running_.size()) break;
    }
    if (i == running_.size()) break;
    lay_out(*running_[i], count, input, rows);
    budget -= count;
  }
  while (!preempted && !waiting_.empty() && budget > 0 && num_running() < config_.max_num_seqs) {
    Sequence& next = *waiting_.front();
    adopt(next);
    const int count = chunk(next, budget);
    if (count == 0 || !reserve(next, next.num_computed + count)) {
      release(next);
      break;
    }
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    lay_out(next, count, input, rows);
    budget -= count;
  }
  OCTET_CHECK(!scheduled_.empty(), "{} running, {} waiting, {} of {} blocks free, budget {}",
              running_.size(), waiting_.size(), allocator_.free(), allocator_.total(), budget);
  fill_block_tables(input);
  return true;
}

void Scheduler::lay_out(Sequence& sequence, int count, ModelInput& input,
                        std::vector<SampledRow>& rows) {
  const int begin = sequence.num_computed, end = begin + count;
  for (int position = begin; position < end; ++position) {
    const bool last = position + 1 == static_cast<int>(sequence.tokens.size());
    const bool sample = last && sequence.request.sampling.max_tokens > sequence.num_generated();
    if (sample || sequence.scores(position + 1)) {
      const SamplingParams& sampling = sequence.request.sampling;
      const float inverse = inverse_temperature(sampling);
      if (!sample) {
        input.add_sampled(input.num_tokens(), 0, sequence.tokens[position + 1]);
      } else if (inverse == 0 && !sampling.logprobs) {
        input.add_top(input.num_tokens());
      } else {
        input.add_sampled(input.num_tokens(), inverse);
      }
      rows.push_back({&sequence, position, sample});
    }
    input.token_ids.push_back(sequence.tokens[position]);
    input.positions.push_back(position);
    const int32_t block = sequence.blocks[position / config_.block_size];
    input.slot_mapping.push_back(block * config_.block_size + position % config_.block_size);
  }
  input.cu_seqlens.push_back(input.num_tokens());
  input.context_lens.push_back(end);
  sequence.num_computed = end;
  remember(sequence);
  scheduled_.push_back(&sequence);
}

void Scheduler::fill_block_tables(ModelInput& input) const {
  for (const Sequence* sequence : scheduled_) {
    input.max_blocks = std::max(input.max_blocks, static_cast<int>(sequence->blocks.size()));
  }
  for (const Sequence* sequence : scheduled_) {
    input.block_tables.insert(input.block_tables.end(), sequence->blocks.begin(),
                              sequence->blocks.end());
    input.block_tables.resize(input.block_tables.size() + input.max_blocks -
                              sequence->blocks.size());
  }
}

}  // namespace octet
