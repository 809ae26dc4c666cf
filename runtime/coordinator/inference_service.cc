#include "runtime/coordinator/inference_service.h"

#include <memory>

#include "runtime/coordinator/generate_stream.h"
#include "runtime/coordinator/validation.h"
#include "runtime/coordinator/wire.h"
#include "runtime/request/error.h"

namespace octet {

grpc::ServerWriteReactor<grpc::ByteBuffer>* InferenceService::Generate(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  auto stream = std::make_shared<GenerateStream>(*context, model_, router_, streams_);
  streams_.add(stream);
  stream->start(*request, retry_delay_);
  return stream.get();
}

grpc::ServerUnaryReactor* InferenceService::ListModels(grpc::CallbackServerContext* context,
                                                       const v1::ListModelsRequest*,
                                                       v1::ListModelsResponse* response) {
  v1::Model& model = *response->add_models();
  model.set_id(model_.name());
  model.set_vocab_size(static_cast<uint32_t>(model_.tokenizer().vocab_size()));
  if (const auto group = router_.group()) {
    model.set_max_model_len(static_cast<uint32_t>(group->max_model_len));
    model.set_tensor_parallel_size(static_cast<uint32_t>(group->tensor_parallel_size));
    model.set_vocab_size(static_cast<uint32_t>(group->vocab_size));
    model.set_ready(true);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* InferenceService::Tokenize(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  grpc::Status status;
  try {
    v1::TokenizeRequest message;
    parse_message(*request, message);
    model_.require_name(message.model());
    v1::TokenizeResponse answer;
    for (const int32_t id : check_input(message, model_)) answer.add_token_ids(id);
    *response = serialize_message(answer);
  } catch (const InputError& error) {
    status = to_status(error);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace octet
