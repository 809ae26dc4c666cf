// GroupLink: the coordinator's end of one leader's Attach stream. Reads and checks what the leader
// says, queues what it is told. Its end is the end of the group's requests.
//
// Threads: gRPC's and the router's, at once. Owns itself until OnDone; the router shares it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "octet/v1/group.pb.h"
#include "runtime/coordinator/router.h"

namespace octet {

class GroupLink : public grpc::ServerBidiReactor<v1::FromLeader, v1::ToLeader>, public GroupPort {
 public:
  // `router` is borrowed; `context` is valid until OnDone. The result lives until then.
  static std::shared_ptr<GroupLink> open(grpc::CallbackServerContext& context, Router& router,
                                         const std::string& model_name);

  void submit(const Request& request) override;
  void cancel(uint64_t request_id) override;
  void stop() override;
  void drop(const std::string& reason) override;
  std::chrono::steady_clock::time_point last_heard() const override { return last_heard_; }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  GroupLink(grpc::CallbackServerContext& context, Router& router, std::string model_name);

  void on_hello(const v1::Hello& hello);
  void on_outputs(const v1::Outputs& outputs);
  void on_event();  // throws InputError
  void send(v1::ToLeader message);
  void close(grpc::Status status);  // the first one wins
  void flush();                     // REQUIRES: the lock

  grpc::CallbackServerContext& context_;
  Router& router_;
  const std::string model_name_;
  std::string peer_;
  std::shared_ptr<GroupLink> self_;
  v1::FromLeader incoming_;
  bool greeted_ = false;  // gRPC's reads only
  std::atomic<std::chrono::steady_clock::time_point> last_heard_;

  std::mutex mutex_;                // guards what follows
  std::deque<v1::ToLeader> queue_;  // the front is being written when is_writing_
  bool is_writing_ = false;
  std::optional<grpc::Status> status_;
  bool finished_ = false, done_ = false;
};

}  // namespace octet
