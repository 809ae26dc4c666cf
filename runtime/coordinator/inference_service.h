// octet.v1.Inference on gRPC's callback API: no thread is kept by a waiting call.
#pragma once

#include <chrono>

#include "octet/v1/inference.grpc.pb.h"
#include "runtime/coordinator/live_streams.h"
#include "runtime/coordinator/router.h"
#include "runtime/coordinator/served_model.h"

namespace octet {

// Generate and Tokenize take the raw message and check its strings themselves; see wire.h.
using InferenceMethods =
    v1::Inference::WithRawCallbackMethod_Generate<v1::Inference::WithRawCallbackMethod_Tokenize<
        v1::Inference::WithCallbackMethod_ListModels<v1::Inference::Service>>>;

class InferenceService : public InferenceMethods {
 public:
  // All are borrowed.
  InferenceService(const ServedModel& model, Router& router, LiveStreams& streams,
                   std::chrono::milliseconds retry_delay)
      : model_(model), router_(router), streams_(streams), retry_delay_(retry_delay) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;

 private:
  const ServedModel& model_;
  Router& router_;
  LiveStreams& streams_;
  const std::chrono::milliseconds retry_delay_;
};

}  // namespace octet
