#include "runtime/coordinator/leader_link.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "octet/v1/group.grpc.pb.h"
#include "runtime/coordinator/group_messages.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStatsPeriod{500};
constexpr int kFirstBackoffMs = 100, kLargestBackoffMs = 2000;
constexpr int kKeepaliveTimeMs = 10000, kKeepaliveTimeoutMs = 10000;

std::shared_ptr<grpc::Channel> dial(const LeaderLinkOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstBackoffMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kFirstBackoffMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLargestBackoffMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  auto channel =
      grpc::CreateCustomChannel(options.coordinator, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + options.connect_timeout)) {
    throw InputError(fmt::format("coordinator {}: not reached within {} ms", options.coordinator,
                                 options.connect_timeout.count()),
                     ErrorCode::kUnreachable);
  }
  return channel;
}

class LeaderLink {
 public:
  LeaderLink(Engine& engine, const LeaderLinkOptions& options)
      : engine_(engine),
        stub_(v1::Group::NewStub(dial(options))),
        stream_(stub_->Attach(&context_)) {
    v1::FromLeader message;
    v1::Hello& hello = *message.mutable_hello();
    hello = to_hello(engine.info());
    hello.set_served_model_name(options.served_model_name);
    hello.set_version(options.version);
    send(message);
    reader_ = std::thread([this] { read_commands(); });
    ticker_ = std::thread([this] { send_stats(); });
  }

  ~LeaderLink() {
    if (reader_.joinable()) finish(true);
  }

  void run() {
    engine_.run([this](std::vector<RequestOutput> outputs) {
      v1::FromLeader message;
      for (const RequestOutput& output : outputs) {
        *message.mutable_outputs()->add_outputs() = to_message(output);
      }
      send(message);
    });
  }

  // Ends the link, in order or abruptly, and says how the coordinator ended it. REQUIRES: run() is
  // over. Once.
  grpc::Status finish(bool abort) {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    tick_.notify_all();
    ticker_.join();
    if (abort) context_.TryCancel();
    stream_->WritesDone();
    reader_.join();
    const grpc::Status status = stream_->Finish();
    return refusal_.ok() ? status : refusal_;
  }

 private:
  void read_commands() {
    v1::ToLeader command;
    while (stream_->Read(&command)) {
      try {
        execute(command);
      } catch (const InputError& error) {
        refusal_ = grpc::Status(grpc::INVALID_ARGUMENT, error.what());
        context_.TryCancel();
      }
    }
    engine_.stop();
  }

  void execute(const v1::ToLeader& command) {
    switch (command.command_case()) {
      case v1::ToLeader::kSubmit:
        return engine_.submit(to_request(command.submit()));
      case v1::ToLeader::kCancel:
        return engine_.cancel(command.cancel().request_id());
      case v1::ToLeader::kStop:
        return engine_.stop();
      case v1::ToLeader::COMMAND_NOT_SET:
        throw InputError("a message without a command");
    }
  }

  void send_stats() {
    std::unique_lock lock(mutex_);
    while (!tick_.wait_for(lock, kStatsPeriod, [this] { return closing_; })) {
      lock.unlock();
      v1::FromLeader message;
      *message.mutable_stats() = to_stats(engine_.stats());
      send(message);
      lock.lock();
    }
  }

  // A failed write needs no answer: the reader sees the same end and stops the engine.
  void send(const v1::FromLeader& message) {
    const std::lock_guard lock(write_mutex_);
    stream_->Write(message);
  }

  Engine& engine_;
  grpc::ClientContext context_;
  std::unique_ptr<v1::Group::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::FromLeader, v1::ToLeader>> stream_;
  std::mutex write_mutex_;
  std::mutex mutex_;  // guards closing_
  std::condition_variable tick_;
  bool closing_ = false;
  grpc::Status refusal_;  // the reader's, when it could not take a command
  std::thread reader_, ticker_;
};

}  // namespace

void lead_group(Engine& engine, const LeaderLinkOptions& options) {
  LeaderLink link(engine, options);
  link.run();
  const grpc::Status status = link.finish(false);
  if (status.ok()) return;
  throw InputError(fmt::format("coordinator {}: {}", options.coordinator,
                               status.error_code() == grpc::UNAVAILABLE
                                   ? fmt::format("gone ({})", status.error_message())
                                   : status.error_message()),
                   ErrorCode::kUnreachable);
}

}  // namespace octet
