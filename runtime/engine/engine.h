// Engine: the leader's side of a worker group. Takes requests, schedules them into steps over all
// ranks, and hands out tokens. One per group, on rank 0.
//
// Threads: submit, cancel, stop and stats may be called from any thread; run by one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/communicator_factory.h"
#include "runtime/engine/engine_options.h"
#include "runtime/request/request.h"

namespace octet {

struct EngineStats {
  uint64_t steps = 0;  // grows while the group makes progress
  uint64_t computed_tokens =
      0;  // rows through the layers: prefill, decode, and what was computed anew
  uint64_t generated_tokens = 0;
  uint64_t preemptions = 0;
  int running = 0, waiting = 0;
  int free_blocks = 0, total_blocks = 0;
  double step_seconds = 0;    // in steps, all together
  double reduce_seconds = 0;  // of those, where ranks meet in layers (rank 0's view)
};

// Facts of a loaded group, the same on every rank.
struct GroupInfo {
  int tensor_parallel_size = 1;
  int max_model_len = 0;
  int max_num_seqs = 0;
  int64_t kv_cache_tokens = 0;  // room in the cache; a request longer than this can never run
  int32_t vocab_size = 0;
};

struct Plan;

// Why a request cannot ever run in such a group: too long, an empty prompt, an id out of range, a
// setting out of bounds. Empty: it can.
std::string why_impossible(const Request& request, const GroupInfo& info);

class Engine {
 public:
  // Called in run()'s thread, after each step, with that step's events.
  using OutputSink = std::function<void(std::vector<RequestOutput>)>;

  virtual ~Engine() = default;

  virtual const GroupInfo& info() const = 0;

  // Queues a request. One that cannot ever run comes back as a kError event.
  virtual void submit(Request request) = 0;
  virtual void cancel(uint64_t request_id) = 0;  // unknown or finished ids are ignored; takes
                                                 // effect before the next step
  virtual EngineStats stats() const = 0;

  // Steps while there is work, sleeps while there is none, returns after stop() (live requests are
  // cancelled) or, when until_idle, as soon as no request is left. Throws RankLost.
  virtual void run(const OutputSink& sink, bool until_idle = false) = 0;
  virtual void stop() = 0;
};

// What the group's communicator must be able to carry for these options. Reads the model's config.
// Throws InputError.
CommOptions comm_options(const EngineOptions& options, int tensor_parallel_size);
CommOptions comm_options(const Plan& plan, int tensor_parallel_size);

// The life of one rank, collective over `communicator`: loads its slice of the model, prints the
// ledger (rank 0), then on rank 0 calls lead(engine), on the others steps until rank 0 says stop.
// Returns when lead has returned. Throws InputError (the same on every rank where the input is the
// same) or RankLost.
void run_rank(const EngineOptions& options, Communicator& communicator,
              const std::function<void(Engine&)>& lead);
void run_rank(Plan plan, Communicator& communicator, const std::function<void(Engine&)>& lead);

}  // namespace octet
