#include "runtime/coordinator/client.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "octet/v1/inference.grpc.pb.h"
#include "runtime/coordinator/wire.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/utf8.h"

namespace octet {
namespace {

struct InputWriter {
  v1::GenerateRequest& request;
  void operator()(const std::string& prompt) { request.set_prompt(prompt); }
  void operator()(const std::vector<ChatMessage>& messages) {
    request.mutable_chat();
    for (const ChatMessage& message : messages) {
      v1::ChatMessage& out = *request.mutable_chat()->add_messages();
      out.set_role(message.role);
      out.set_content(message.content);
    }
  }
  void operator()(const std::vector<int32_t>& ids) {
    request.mutable_tokens()->mutable_ids()->Add(ids.begin(), ids.end());
  }
};

v1::GenerateRequest to_message(const GenerateCall& call) {
  v1::GenerateRequest request;
  request.set_model(call.model);
  std::visit(InputWriter{request}, call.input);
  v1::SamplingParams& sampling = *request.mutable_sampling();
  sampling.set_max_tokens(call.max_tokens);
  if (call.temperature) sampling.set_temperature(*call.temperature);
  if (call.top_p) sampling.set_top_p(*call.top_p);
  sampling.set_top_k(call.top_k);
  if (call.seed) sampling.set_seed(*call.seed);
  sampling.set_ignore_eos(call.ignore_eos);
  sampling.set_logprobs(call.logprobs);
  for (const std::string& stop : call.stop) sampling.add_stop(stop);
  return request;
}

FinishReason to_finish(v1::FinishReason reason) {
  if (reason == v1::FINISH_REASON_STOP) return FinishReason::kStop;
  return reason == v1::FINISH_REASON_LENGTH ? FinishReason::kLength : FinishReason::kNone;
}

void require_room(const v1::GenerateRequest& request) {
  const size_t bytes = request.ByteSizeLong();
  if (bytes > size_t{kMostMessageBytes}) {
    throw InputError(
        fmt::format("the request has {} bytes, the most are {}", bytes, kMostMessageBytes));
  }
}

// A protobuf string must be UTF-8; said here, by name, rather than by protobuf.
void require_text(const GenerateCall& call) {
  if (const auto* prompt = std::get_if<std::string>(&call.input)) require_utf8(*prompt);
  for (const std::string& stop : call.stop) require_utf8(stop);
  require_utf8(call.model);
  if (const auto* messages = std::get_if<std::vector<ChatMessage>>(&call.input)) {
    for (const ChatMessage& message : *messages) require_utf8(message.content);
  }
}

}  // namespace

struct Client::Impl {
  std::string address;
  std::unique_ptr<v1::Inference::Stub> stub;
};

Client::Client(const std::string& address, std::chrono::milliseconds connect_timeout)
    : impl_(std::make_unique<Impl>()) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto channel =
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + connect_timeout)) {
    throw InputError(fmt::format("{}: no coordinator answers", address), ErrorCode::kUnreachable);
  }
  impl_->address = address;
  impl_->stub = v1::Inference::NewStub(channel);
}

Client::~Client() = default;

std::vector<ServedModelInfo> Client::list_models() {
  grpc::ClientContext context;
  v1::ListModelsResponse response;
  const grpc::Status status = impl_->stub->ListModels(&context, {}, &response);
  if (!status.ok()) throw to_input_error(status, impl_->address);
  std::vector<ServedModelInfo> models;
  for (const v1::Model& model : response.models()) {
    models.push_back({.id = model.id(),
                      .max_model_len = static_cast<int>(model.max_model_len()),
                      .tensor_parallel_size = static_cast<int>(model.tensor_parallel_size()),
                      .vocab_size = static_cast<int>(model.vocab_size()),
                      .ready = model.ready()});
  }
  return models;
}

GenerateResult Client::generate(const GenerateCall& call,
                                const std::function<bool(const GenerateDelta&)>& on_delta) {
  require_text(call);
  const v1::GenerateRequest request = to_message(call);
  require_room(request);
  grpc::ClientContext context;
  if (call.timeout) context.set_deadline(std::chrono::system_clock::now() + *call.timeout);
  const auto reader = impl_->stub->Generate(&context, request);
  const std::stop_callback cancel(call.stop_token, [&] { context.TryCancel(); });
  GenerateResult result;
  v1::GenerateResponse response;
  while (result.finish != FinishReason::kCancelled && reader->Read(&response)) {
    result.finish = to_finish(response.finish_reason());
    result.prompt_tokens = response.usage().prompt_tokens();
    result.completion_tokens = response.usage().completion_tokens();
    const bool go_on =
        on_delta({.text = response.text(),
                  .token_ids = {response.token_ids().begin(), response.token_ids().end()},
                  .logprobs = {response.logprobs().begin(), response.logprobs().end()}});
    if (!go_on) {
      result.finish = FinishReason::kCancelled;
      context.TryCancel();
    }
  }
  grpc::Status status = reader->Finish();
  if (!status.ok() && call.stop_token.stop_requested()) result.finish = FinishReason::kCancelled;
  if (status.error_code() == grpc::CANCELLED) {  // not by this client: the server went away
    status = {grpc::UNAVAILABLE, "the server ended the call: it is not there any more"};
  }
  if (!status.ok() && result.finish != FinishReason::kCancelled) {
    throw to_input_error(status, impl_->address);
  }
  return result;
}

}  // namespace octet
