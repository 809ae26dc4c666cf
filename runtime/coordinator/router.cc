#include "runtime/coordinator/router.h"

#include <fmt/format.h>

#include <utility>

#include "kernels/check.h"
#include "runtime/request/error.h"

namespace octet {

Router::Router(size_t max_queue, Events events)
    : max_queue_(max_queue), events_(std::move(events)) {}

void Router::attach(const GroupInfo& info, std::shared_ptr<GroupPort> port) {
  {
    const std::lock_guard lock(mutex_);
    if (!draining_.empty()) throw InputError(draining_, ErrorCode::kUnavailable);
    if (port_) throw InputError("a worker group is attached already", ErrorCode::kUnavailable);
    port_ = std::move(port);
    info_ = info;
  }
  if (events_.attached) events_.attached(info);
}

void Router::detach(const GroupPort* port, const std::string& why) {
  Journal lost;
  {
    const std::lock_guard lock(mutex_);
    if (port_.get() != port) return;
    port_ = nullptr;
    lost = std::exchange(journal_, {});
  }
  for (const auto& [id, entry] : lost) {
    if (entry.sink) entry.sink->on_lost(why);
  }
  if (events_.lost) events_.lost(why);
}

void Router::check(const RequestOutput& output) const {
  const auto found = journal_.find(output.request_id);
  if (found == journal_.end()) {
    throw InputError(fmt::format("output for request {}, which is not live", output.request_id));
  }
  if (output.token < -1 || output.token >= info_.vocab_size) {
    throw InputError(fmt::format("request {}: token {} is outside the vocabulary of {}",
                                 output.request_id, output.token, info_.vocab_size));
  }
  const size_t most = static_cast<size_t>(found->second.request.sampling.max_tokens);
  if (output.token >= 0 && found->second.emitted.size() >= most) {
    throw InputError(fmt::format("request {}: more tokens than its {}", output.request_id, most));
  }
}

void Router::deliver(const GroupPort* port, std::span<const RequestOutput> outputs) {
  std::vector<std::shared_ptr<RequestSink>> sinks;
  std::optional<InputError> problem;
  {
    const std::lock_guard lock(mutex_);
    if (port_.get() != port) return;
    for (const RequestOutput& output : outputs) {
      try {
        check(output);
      } catch (const InputError& error) {
        problem = error;
        break;
      }
      JournalEntry& entry = journal_.at(output.request_id);
      sinks.push_back(entry.sink);
      if (output.token >= 0) entry.emitted.push_back(output.token);
      if (output.finish != FinishReason::kNone) journal_.erase(output.request_id);
    }
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    if (sinks[i]) sinks[i]->on_output(outputs[i]);
  }
  if (problem) throw *problem;
}

void Router::require_room_locked() const {
  if (!draining_.empty()) throw InputError(draining_, ErrorCode::kUnavailable);
  if (!port_) throw InputError("no worker group is attached", ErrorCode::kUnavailable);
  if (journal_.size() >= max_queue_) {
    throw InputError(fmt::format("the queue is full: {} requests are unfinished", journal_.size()),
                     ErrorCode::kResourceExhausted);
  }
}

GroupInfo Router::require_room() const {
  const std::lock_guard lock(mutex_);
  require_room_locked();
  return info_;
}

std::optional<GroupInfo> Router::group() const {
  const std::lock_guard lock(mutex_);
  return port_ ? std::optional(info_) : std::nullopt;
}

void Router::submit(Request request, std::shared_ptr<RequestSink> sink) {
  const std::lock_guard lock(mutex_);
  require_room_locked();
  const uint64_t id = request.id;
  const auto [entry, fresh] =
      journal_.try_emplace(id, JournalEntry{std::move(request), {}, std::move(sink)});
  OCTET_CHECK(fresh, "request {} is live already", id);
  port_->submit(entry->second.request);
}

void Router::cancel(uint64_t request_id) {
  const std::lock_guard lock(mutex_);
  const auto found = journal_.find(request_id);
  if (found == journal_.end() || !found->second.sink) return;
  found->second.sink = nullptr;
  port_->cancel(request_id);
}

void Router::drain(const std::string& why) {
  const std::lock_guard lock(mutex_);
  draining_ = why;
}

void Router::stop_group() {
  const std::lock_guard lock(mutex_);
  if (port_) port_->stop();
}

void Router::drop_silent_group(std::chrono::milliseconds limit) {
  std::shared_ptr<GroupPort> silent;
  {
    const std::lock_guard lock(mutex_);
    if (!port_ || std::chrono::steady_clock::now() - port_->last_heard() <= limit) return;
    silent = port_;
  }
  const std::string why =
      fmt::format("worker group lost: its leader was silent for {} ms", limit.count());
  detach(silent.get(), why);
  silent->drop(why);
}

size_t Router::unfinished() const {
  const std::lock_guard lock(mutex_);
  return journal_.size();
}

}  // namespace octet
