#include "runtime/coordinator/group_messages.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>

#include "runtime/request/error.h"

namespace octet {
namespace {

int checked_int(const char* field, uint64_t value, uint64_t least) {
  if (value < least || value > static_cast<uint64_t>(std::numeric_limits<int>::max())) {
    throw InputError(fmt::format("{} is {}, must be {} to {}", field, value, least,
                                 std::numeric_limits<int>::max()));
  }
  return static_cast<int>(value);
}

}  // namespace

v1::Hello to_hello(const GroupInfo& info) {
  v1::Hello hello;
  hello.set_tensor_parallel_size(static_cast<uint32_t>(info.tensor_parallel_size));
  hello.set_max_model_len(static_cast<uint32_t>(info.max_model_len));
  hello.set_max_num_seqs(static_cast<uint32_t>(info.max_num_seqs));
  hello.set_kv_cache_tokens(static_cast<uint64_t>(info.kv_cache_tokens));
  hello.set_vocab_size(static_cast<uint32_t>(info.vocab_size));
  return hello;
}

GroupInfo to_group_info(const v1::Hello& hello) {
  constexpr uint64_t kMaxCacheTokens = std::numeric_limits<int64_t>::max();
  if (hello.kv_cache_tokens() == 0 || hello.kv_cache_tokens() > kMaxCacheTokens) {
    throw InputError(fmt::format("hello.kv_cache_tokens is {}", hello.kv_cache_tokens()));
  }
  return {.tensor_parallel_size =
              checked_int("hello.tensor_parallel_size", hello.tensor_parallel_size(), 1),
          .max_model_len = checked_int("hello.max_model_len", hello.max_model_len(), 1),
          .max_num_seqs = checked_int("hello.max_num_seqs", hello.max_num_seqs(), 1),
          .kv_cache_tokens = static_cast<int64_t>(hello.kv_cache_tokens()),
          .vocab_size = checked_int("hello.vocab_size", hello.vocab_size(), 1)};
}

v1::Submit to_submit(const Request& request) {
  const SamplingParams& sampling = request.sampling;
  v1::Submit submit;
  submit.set_request_id(request.id);
  submit.mutable_prompt()->Add(request.prompt.begin(), request.prompt.end());
  submit.set_max_tokens(static_cast<uint32_t>(sampling.max_tokens));
  submit.set_temperature(sampling.temperature);
  submit.set_top_k(static_cast<uint32_t>(sampling.top_k));
  submit.set_top_p(sampling.top_p);
  submit.set_seed(sampling.seed);
  submit.set_ignore_eos(sampling.ignore_eos);
  submit.mutable_stop_token_ids()->Add(sampling.stop_token_ids.begin(),
                                       sampling.stop_token_ids.end());
  submit.set_logprobs(sampling.logprobs);
  return submit;
}

Request to_request(const v1::Submit& submit) {
  return {.id = submit.request_id(),
          .prompt = {submit.prompt().begin(), submit.prompt().end()},
          .sampling = {
              .max_tokens = checked_int("submit.max_tokens", submit.max_tokens(), 1),
              .temperature = submit.temperature(),
              .top_k = checked_int("submit.top_k", submit.top_k(), 0),
              .top_p = submit.top_p(),
              .seed = submit.seed(),
              .ignore_eos = submit.ignore_eos(),
              .stop_token_ids = {submit.stop_token_ids().begin(), submit.stop_token_ids().end()},
              .logprobs = submit.logprobs()}};
}

v1::Output to_message(const RequestOutput& output) {
  v1::Output message;
  message.set_request_id(output.request_id);
  message.set_token(output.token);
  message.set_logprob(output.logprob);
  message.set_finish(static_cast<uint32_t>(output.finish));
  message.set_error(output.error);
  return message;
}

RequestOutput to_output(const v1::Output& message) {
  if (message.finish() > static_cast<uint32_t>(FinishReason::kError)) {
    throw InputError(fmt::format("request {}: finish is {}, must be 0 to {}", message.request_id(),
                                 message.finish(), static_cast<uint32_t>(FinishReason::kError)));
  }
  return {.request_id = message.request_id(),
          .token = message.token(),
          .logprob = message.logprob(),
          .finish = static_cast<FinishReason>(message.finish()),
          .error = message.error()};
}

v1::Stats to_stats(const EngineStats& stats) {
  v1::Stats message;
  message.set_steps(stats.steps);
  message.set_running(static_cast<uint32_t>(stats.running));
  message.set_waiting(static_cast<uint32_t>(stats.waiting));
  message.set_free_blocks(static_cast<uint32_t>(stats.free_blocks));
  message.set_total_blocks(static_cast<uint32_t>(stats.total_blocks));
  return message;
}

}  // namespace octet
