// GenerateStream: one client's Generate call, from its message to its last status.
//
// At most one message is on its way to gRPC; what arrives meanwhile is merged into the next one. So
// a client that reads slowly delays nobody, and costs at most two messages of at most max_tokens
// tokens. Text waits for whole characters and for what may become a stop string; token ids do not,
// so they can run ahead of the text.
//
// Threads: gRPC's and the router's, at once. Owned by LiveStreams until OnDone; the router shares
// it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "octet/v1/inference.pb.h"
#include "runtime/coordinator/live_streams.h"
#include "runtime/coordinator/router.h"
#include "runtime/coordinator/served_model.h"
#include "runtime/coordinator/stop_strings.h"

namespace octet {

class GenerateStream : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                       public RequestSink,
                       public std::enable_shared_from_this<GenerateStream> {
 public:
  // All are borrowed; `context` is valid until OnDone.
  GenerateStream(grpc::CallbackServerContext& context, const ServedModel& model, Router& router,
                 LiveStreams& streams);

  // Checks and submits; a refusal becomes the stream's status, with retry-delay-ms when the queue
  // is full.
  void start(const grpc::ByteBuffer& message, std::chrono::milliseconds retry_delay);

  void on_output(const RequestOutput& output) override;
  void on_lost(const std::string& why) override;

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void reset_if_stalled(std::chrono::milliseconds limit);  // REQUIRES: OnDone has not returned

 private:
  void admit(const grpc::ByteBuffer& message);
  // The following REQUIRE the lock.
  void add_token(int32_t token, float logprob);
  void complete(v1::FinishReason reason);
  void close(grpc::Status status);  // the first one wins
  void flush();

  grpc::CallbackServerContext& context_;
  const ServedModel& model_;
  Router& router_;
  LiveStreams& streams_;
  const uint64_t id_;

  std::mutex mutex_;  // guards what follows
  std::optional<StreamDecoder> decoder_;
  std::optional<StopStrings> stops_;
  bool logprobs_ = false;  // are they asked for?
  uint32_t prompt_tokens_ = 0, completion_tokens_ = 0;
  v1::GenerateResponse next_;  // merged until it can be written
  bool has_next_ = false;
  grpc::ByteBuffer writing_;
  bool is_writing_ = false;
  std::chrono::steady_clock::time_point write_start_;
  std::optional<grpc::Status> status_;  // set: nothing is taken any more
  bool finished_ = false;               // gRPC has the status
};

}  // namespace octet
