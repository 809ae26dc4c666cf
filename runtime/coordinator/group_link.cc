#include "runtime/coordinator/group_link.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>
#include <vector>

#include "runtime/coordinator/group_messages.h"
#include "runtime/coordinator/version.h"
#include "runtime/coordinator/wire.h"
#include "runtime/request/error.h"

namespace octet {

GroupLink::GroupLink(grpc::CallbackServerContext& context, Router& router, std::string model_name)
    : context_(context),
      router_(router),
      model_name_(std::move(model_name)),
      peer_(context.peer()),
      last_heard_(std::chrono::steady_clock::now()) {}

std::shared_ptr<GroupLink> GroupLink::open(grpc::CallbackServerContext& context, Router& router,
                                           const std::string& model_name) {
  std::shared_ptr<GroupLink> link(new GroupLink(context, router, model_name));
  link->self_ = link;
  link->StartRead(&link->incoming_);
  return link;
}

void GroupLink::OnReadDone(bool ok) {
  if (!ok) {
    router_.detach(this, "worker group lost: its leader is gone");
    close(grpc::Status::OK);
    return;
  }
  last_heard_ = std::chrono::steady_clock::now();
  try {
    on_event();
  } catch (const InputError& error) {
    spdlog::error("worker group at {} refused: {}", peer_, error.what());
    router_.detach(this, fmt::format("worker group lost: {}", error.what()));
    close(to_status(error));
    return;
  }
  StartRead(&incoming_);
}

void GroupLink::on_event() {
  const bool is_hello = incoming_.event_case() == v1::FromLeader::kHello;
  if (is_hello == greeted_) {
    throw InputError(greeted_ ? "a second Hello" : "the first message is not Hello");
  }
  switch (incoming_.event_case()) {
    case v1::FromLeader::kHello:
      on_hello(incoming_.hello());
      break;
    case v1::FromLeader::kOutputs:
      on_outputs(incoming_.outputs());
      break;
    case v1::FromLeader::kStats:
      break;
    case v1::FromLeader::EVENT_NOT_SET:
      throw InputError("a message without an event");
  }
}

void GroupLink::on_hello(const v1::Hello& hello) {
  if (hello.version() != octet_version()) {
    throw InputError(fmt::format("the group runs octet {}, the coordinator {}", hello.version(),
                                 octet_version()));
  }
  if (hello.served_model_name() != model_name_) {
    throw InputError(fmt::format("the group has model \"{}\", the coordinator serves \"{}\"",
                                 hello.served_model_name(), model_name_));
  }
  router_.attach(to_group_info(hello), self_);
  greeted_ = true;
}

void GroupLink::on_outputs(const v1::Outputs& message) {
  std::vector<RequestOutput> outputs;
  outputs.reserve(static_cast<size_t>(message.outputs_size()));
  for (const v1::Output& output : message.outputs()) outputs.push_back(to_output(output));
  router_.deliver(this, outputs);
}

void GroupLink::submit(const Request& request) {
  v1::ToLeader message;
  *message.mutable_submit() = to_submit(request);
  send(std::move(message));
}

void GroupLink::cancel(uint64_t request_id) {
  v1::ToLeader message;
  message.mutable_cancel()->set_request_id(request_id);
  send(std::move(message));
}

void GroupLink::stop() {
  v1::ToLeader message;
  message.mutable_stop();
  send(std::move(message));
}

void GroupLink::drop(const std::string& reason) {
  spdlog::error("worker group at {} dropped: {}", peer_, reason);
  const std::lock_guard lock(mutex_);
  if (!done_) context_.TryCancel();
}

void GroupLink::send(v1::ToLeader message) {
  const std::lock_guard lock(mutex_);
  if (status_) return;
  queue_.push_back(std::move(message));
  flush();
}

void GroupLink::close(grpc::Status status) {
  const std::lock_guard lock(mutex_);
  if (status_) return;
  status_ = std::move(status);
  flush();
}

void GroupLink::flush() {
  if (is_writing_ || finished_) return;
  if (status_) {
    finished_ = true;
    Finish(*status_);
  } else if (!queue_.empty()) {
    is_writing_ = true;
    StartWrite(&queue_.front());
  }
}

void GroupLink::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  is_writing_ = false;
  queue_.pop_front();
  if (!ok && !status_) status_ = grpc::Status(grpc::UNAVAILABLE, "the leader is gone");
  flush();
}

void GroupLink::OnCancel() {
  router_.detach(this, "worker group lost: its leader is gone");
  close({grpc::CANCELLED, "the leader is gone"});
}

void GroupLink::OnDone() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  router_.detach(this, "worker group lost: its leader is gone");
  const std::shared_ptr<GroupLink> last = std::move(self_);
}

}  // namespace octet
