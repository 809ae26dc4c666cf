#include "runtime/bench/octet_target.h"

#include <fmt/format.h>

#include <stop_token>

#include "runtime/coordinator/client.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

class OctetConnection : public Connection {
 public:
  OctetConnection(Client& client, const std::string& model, bool ignore_eos)
      : client_(client), call_{.model = model, .temperature = 0.0f, .ignore_eos = ignore_eos} {
    call_.stop_token = stop_.get_token();
  }

  AnswerCounts ask(const PlannedRequest& request, const OnTokens& on_tokens) override {
    std::visit([&](const auto& prompt) { call_.input = prompt; }, request.prompt);
    call_.max_tokens = static_cast<uint32_t>(request.max_tokens);
    const GenerateResult result = client_.generate(call_, [&](const GenerateDelta& delta) {
      return delta.token_ids.empty() || on_tokens(static_cast<int>(delta.token_ids.size()));
    });
    if (result.finish == FinishReason::kCancelled)
      throw InputError("cancelled", ErrorCode::kCancelled);
    return {static_cast<int>(result.prompt_tokens), static_cast<int>(result.completion_tokens)};
  }

  void cancel() override { stop_.request_stop(); }

 private:
  Client& client_;
  std::stop_source stop_;
  GenerateCall call_;
};

class OctetTarget : public Target {
 public:
  explicit OctetTarget(const OctetOptions& options) : options_(options), client_(options.address) {
    for (const ServedModelInfo& model : client_.list_models()) {
      if (!options.model.empty() && model.id != options.model) continue;
      if (!model.ready) {
        throw InputError(fmt::format("{}: no worker group is ready", options.address),
                         ErrorCode::kUnavailable);
      }
      info_ = {.model = model.id,
               .max_model_len = model.max_model_len,
               .vocab_size = model.vocab_size,
               .tensor_parallel_size = model.tensor_parallel_size};
      return;
    }
    throw InputError(
        fmt::format("{}: does not serve the model '{}'", options.address, options.model),
        ErrorCode::kNotFound);
  }

  const TargetInfo& info() const override { return info_; }

  std::unique_ptr<Connection> connect() override {
    return std::make_unique<OctetConnection>(client_, info_.model, options_.ignore_eos);
  }

 private:
  const OctetOptions options_;
  Client client_;
  TargetInfo info_;
};

}  // namespace

std::unique_ptr<Target> make_octet_target(const OctetOptions& options) {
  return std::make_unique<OctetTarget>(options);
}

}  // namespace octet
