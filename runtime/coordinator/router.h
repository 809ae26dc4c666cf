// Router: where clients' requests and the worker group meet. It admits requests, keeps the journal,
// sends them to the attached group, and hands the group's events to the requests' sinks.
//
// Threads: any. Sinks are called with no lock of the router's held; GroupPort is called under it
// and must not block or call back. Ownership: shared with gRPC's streams, whose ends neither side
// controls.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/coordinator/journal.h"
#include "runtime/engine/engine.h"
#include "runtime/request/request.h"

namespace octet {

// The way to an attached group's leader. Calls queue a message and return.
class GroupPort {
 public:
  virtual ~GroupPort() = default;
  virtual void submit(const Request& request) = 0;
  virtual void cancel(uint64_t request_id) = 0;
  virtual void stop() = 0;                           // the leader shall end the group
  virtual void drop(const std::string& reason) = 0;  // ends the link
  virtual std::chrono::steady_clock::time_point last_heard() const = 0;
};

class Router {
 public:
  struct Events {
    std::function<void(const GroupInfo&)> attached;
    std::function<void(const std::string& why)> lost;
  };
  Router(size_t max_queue, Events events);

  // Throws InputError (kUnavailable) when another group is attached or the coordinator is draining.
  void attach(const GroupInfo& info, std::shared_ptr<GroupPort> port);

  // The group is gone: every live request's sink hears on_lost. Ignored when `port` is not
  // attached.
  void detach(const GroupPort* port, const std::string& why);

  // Events of one step. Throws InputError at the first that no sound leader sends; those before it
  // are delivered.
  void deliver(const GroupPort* port, std::span<const RequestOutput> outputs);

  // Throws InputError: kUnavailable without a group or while draining, kResourceExhausted when
  // max_queue requests are unfinished. For a caller that would do work before submit(), which
  // checks again.
  GroupInfo require_room() const;
  std::optional<GroupInfo> group() const;

  uint64_t new_id() { return next_id_.fetch_add(1); }

  // REQUIRES: request.id is from new_id(). Throws InputError as require_room().
  void submit(Request request, std::shared_ptr<RequestSink> sink);

  // The sink hears no more once a call that is under way has returned. Unknown ids are ignored.
  void cancel(uint64_t request_id);

  void drain(const std::string& why);  // no new requests from now on; they hear why
  void stop_group();                   // tells the leader to end
  void drop_silent_group(std::chrono::milliseconds limit);  // a leader sends Stats every second
  size_t unfinished() const;

 private:
  void check(const RequestOutput& output) const;
  void require_room_locked() const;

  const size_t max_queue_;
  const Events events_;
  std::atomic<uint64_t> next_id_{1};

  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<GroupPort> port_;
  GroupInfo info_;
  Journal journal_;
  std::string draining_;  // why; empty: it is not
};

}  // namespace octet
