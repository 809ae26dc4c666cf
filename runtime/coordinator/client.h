// Client: the verbs' way to a coordinator. Plain data in and out; gRPC stays inside. Any thread;
// calls of several threads at once share one connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "runtime/request/request.h"
#include "runtime/tokenizer/chat_template.h"

namespace octet {

struct ServedModelInfo {
  std::string id;
  int max_model_len = 0, tensor_parallel_size = 0, vocab_size = 0;
  bool ready = false;
};

struct GenerateCall {
  std::string model;  // "": the server's only one
  std::variant<std::string, std::vector<ChatMessage>, std::vector<int32_t>> input;
  uint32_t max_tokens = 0;  // 0: as many as fit
  std::optional<float> temperature, top_p;
  uint32_t top_k = 0;
  std::optional<uint64_t> seed;
  bool ignore_eos = false, logprobs = false;
  std::vector<std::string> stop;
  std::optional<std::chrono::milliseconds> timeout;
  std::stop_token stop_token;  // a stop cancels the call, before its first message too
};

struct GenerateDelta {
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<float> logprobs;  // empty where they were not asked for
};

struct GenerateResult {
  FinishReason finish = FinishReason::kNone;  // kCancelled: on_delta or stop_token said so
  uint32_t prompt_tokens = 0, completion_tokens = 0;
};

class Client {
 public:
  // Throws InputError (kUnreachable) when nothing answers at HOST:PORT in time.
  explicit Client(const std::string& address,
                  std::chrono::milliseconds connect_timeout = std::chrono::seconds(5));
  ~Client();

  // Both throw InputError with the server's line and code.
  std::vector<ServedModelInfo> list_models();
  // Calls on_delta for every message, in order; false from it cancels the call.
  GenerateResult generate(const GenerateCall& call,
                          const std::function<bool(const GenerateDelta&)>& on_delta);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace octet
