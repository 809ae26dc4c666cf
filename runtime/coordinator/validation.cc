#include "runtime/coordinator/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <span>
#include <utility>

#include "runtime/request/error.h"

namespace octet {
namespace {

std::vector<int32_t> encode(const v1::Chat& chat, const ServedModel& model) {
  std::vector<ChatMessage> messages;
  for (const v1::ChatMessage& message : chat.messages()) {
    messages.push_back({.role = message.role(), .content = message.content()});
  }
  return model.encode_chat(messages);
}

std::vector<int32_t> prompt_ids(const v1::GenerateRequest& message, const ServedModel& model) {
  switch (message.input_case()) {
    case v1::GenerateRequest::kPrompt:
      return model.encode_prompt(message.prompt());
    case v1::GenerateRequest::kChat:
      return encode(message.chat(), model);
    case v1::GenerateRequest::kTokens:
      return {message.tokens().ids().begin(), message.tokens().ids().end()};
    case v1::GenerateRequest::INPUT_NOT_SET:
      break;
  }
  throw InputError("no input: set one of prompt, chat, tokens");
}

void check_ids(const char* field, std::span<const int32_t> ids, int32_t vocab_size) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size) {
      throw InputError(
          fmt::format("{}[{}] is {}, outside the vocabulary of {}", field, i, ids[i], vocab_size));
    }
  }
}

int check_length(uint32_t max_tokens, size_t prompt, const GroupInfo& group) {
  const uint64_t room = std::min<uint64_t>(group.max_model_len, group.kv_cache_tokens);
  const char* limit = room < static_cast<uint64_t>(group.max_model_len) ? "the KV cache's room of"
                                                                        : "the model's length of";
  if (prompt >= room) {
    throw InputError(fmt::format(
        "the prompt has {} tokens and leaves no room for one more in {} {}", prompt, limit, room));
  }
  if (max_tokens > room - prompt) {
    throw InputError(fmt::format("the prompt's {} tokens and sampling.max_tokens {} exceed {} {}",
                                 prompt, max_tokens, limit, room));
  }
  return static_cast<int>(max_tokens == 0 ? room - prompt : max_tokens);
}

uint64_t draw_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

void check_stops(const v1::SamplingParams& sampling) {
  if (sampling.stop_size() > kMaxStops || sampling.stop_token_ids_size() > kMaxStops) {
    throw InputError(
        fmt::format("sampling has {} stop strings and {} stop_token_ids, at most {} of "
                    "each are allowed",
                    sampling.stop_size(), sampling.stop_token_ids_size(), kMaxStops));
  }
  for (int i = 0; i < sampling.stop_size(); ++i) {
    const size_t bytes = sampling.stop(i).size();
    if (bytes == 0 || bytes > kMaxStopBytes) {
      throw InputError(fmt::format("sampling.stop[{}] has {} bytes, must have 1 to {}", i, bytes,
                                   kMaxStopBytes));
    }
  }
}

void check_ranges(const SamplingParams& sampling) {
  try {
    validate(sampling);
  } catch (const InputError& error) {
    throw InputError(fmt::format("sampling.{}", error.what()), error.code());
  }
}

}  // namespace

CheckedRequest check_request(const v1::GenerateRequest& message, const ServedModel& model,
                             const GroupInfo& group) {
  const v1::SamplingParams& asked = message.sampling();
  check_stops(asked);
  SamplingParams sampling{
      .max_tokens = 1,  // until the prompt's length is known
      .temperature = asked.has_temperature() ? asked.temperature() : 1.0f,
      .top_k = static_cast<int>(std::min<uint32_t>(asked.top_k(), group.vocab_size)),
      .top_p = asked.has_top_p() ? asked.top_p() : 1.0f,
      .seed = asked.has_seed() ? asked.seed() : draw_seed(),
      .ignore_eos = asked.ignore_eos(),
      .stop_token_ids = {asked.stop_token_ids().begin(), asked.stop_token_ids().end()},
      .logprobs = asked.logprobs()};
  check_ranges(sampling);
  check_ids("sampling.stop_token_ids", sampling.stop_token_ids, group.vocab_size);
  if (!sampling.ignore_eos) {
    const std::vector<int32_t> eos = model.tokenizer().eos_ids();
    sampling.stop_token_ids.insert(sampling.stop_token_ids.end(), eos.begin(), eos.end());
  }
  std::vector<int32_t> prompt = prompt_ids(message, model);
  if (prompt.empty()) throw InputError("the prompt has no tokens");
  check_ids(message.has_tokens() ? "tokens.ids" : "prompt token ", prompt, group.vocab_size);
  sampling.max_tokens = check_length(asked.max_tokens(), prompt.size(), group);
  return {.request = {.prompt = std::move(prompt), .sampling = std::move(sampling)},
          .stops = {asked.stop().begin(), asked.stop().end()}};
}

std::vector<int32_t> check_input(const v1::TokenizeRequest& message, const ServedModel& model) {
  switch (message.input_case()) {
    case v1::TokenizeRequest::kPrompt:
      return model.encode_prompt(message.prompt());
    case v1::TokenizeRequest::kChat:
      return encode(message.chat(), model);
    case v1::TokenizeRequest::INPUT_NOT_SET:
      break;
  }
  throw InputError("no input: set one of prompt, chat");
}

}  // namespace octet
