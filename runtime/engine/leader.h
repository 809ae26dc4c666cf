// Leader: the Engine on rank 0. Requests enter a mutex-guarded inbox from any thread; run()'s
// thread owns everything else.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "comm/communicator.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/scheduler.h"
#include "runtime/engine/worker.h"
#include "runtime/sampling/sampler.h"

namespace octet {

class Leader : public Engine {
 public:
  // `worker` and `communicator` are borrowed. eos: the model's own stop tokens.
  Leader(const GroupInfo& info, const SchedulerConfig& config, std::vector<int32_t> eos,
         Worker& worker, Communicator& communicator);

  const GroupInfo& info() const override { return info_; }
  void submit(Request request) override;
  void cancel(uint64_t request_id) override;
  EngineStats stats() const override;
  void run(const OutputSink& sink, bool until_idle) override;
  void stop() override;

  void broadcast_stop();  // ends the other ranks' loops; after run()

 private:
  struct Inbox {
    std::vector<Request> requests;
    std::vector<uint64_t> cancels;
    bool stop = false;
    bool empty() const { return requests.empty() && cancels.empty() && !stop; }
  };

  bool take_inbox(bool until_idle);  // false: time to return from run()
  void admit(Request request);
  void step();
  void append(const SampledRow& row, const Shortlist& list, const Sampler::FullRow& logits);
  void score(const SampledRow& row, const Shortlist& list);
  void report_prompt(Sequence& sequence, RequestOutput& output);
  void publish_stats(double step_seconds);

  const GroupInfo info_;
  const std::vector<int32_t> eos_;
  Worker& worker_;
  Communicator& communicator_;
  Scheduler scheduler_;
  Sampler sampler_;

  ModelInput input_;
  std::vector<int32_t> words_;  // input_ on the wire
  std::vector<SampledRow> rows_;
  std::vector<RequestOutput> outputs_;
  std::vector<uint64_t> finished_;

  mutable std::mutex mutex_;  // guards inbox_, stats_
  std::condition_variable wake_;
  Inbox inbox_, taken_;
  EngineStats stats_;
};

}  // namespace octet
