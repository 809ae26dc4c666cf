#include "runtime/bench/openai_target.h"

#include <fmt/format.h>
#include <httplib.h>

#include <atomic>

#include "runtime/bench/sse_parser.h"
#include "runtime/formats/json_text.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr size_t kMostErrorBytes = 64 << 10;

struct Url {
  std::string origin, path;  // "http://host:port", "" or "/prefix"
};

Url split_url(const std::string& text) {
  const size_t scheme = text.find("://");
  const bool known = text.starts_with("http://") || text.starts_with("https://");
  const std::string whole = scheme == std::string::npos ? "http://" + text : text;
  const size_t host = whole.find("://") + 3;
  const size_t slash = whole.find('/', host);
  if ((scheme != std::string::npos && !known) || host == whole.size() || slash == host) {
    throw InputError(fmt::format("'{}' is no address; must be http://HOST:PORT", text));
  }
  Url url{whole.substr(0, slash), slash == std::string::npos ? "" : whole.substr(slash)};
  while (url.path.ends_with('/')) url.path.pop_back();
  if (url.path.ends_with("/v1")) url.path.resize(url.path.size() - 3);
  return url;
}

ErrorCode code_of_status(int status) {
  if (status == 429) return ErrorCode::kResourceExhausted;
  if (status == 404) return ErrorCode::kNotFound;
  return status >= 500 ? ErrorCode::kUnavailable : ErrorCode::kInvalidArgument;
}

InputError no_answer(const std::string& origin, httplib::Error error) {
  return InputError(
      fmt::format("{}: {}", origin,
                  error == httplib::Error::Connection
                      ? "nothing answers"
                      : "the connection broke off: " + httplib::to_string(error)),
      error == httplib::Error::Connection ? ErrorCode::kUnreachable : ErrorCode::kUnavailable);
}

class OpenAiConnection : public Connection {
 public:
  OpenAiConnection(const OpenAiOptions& options, const Url& url, std::string endpoint,
                   std::string model)
      : options_(options),
        origin_(url.origin),
        endpoint_(std::move(endpoint)),
        model_(std::move(model)),
        http_(url.origin) {
    http_.set_keep_alive(true);
    http_.set_tcp_nodelay(true);
    http_.set_connection_timeout(std::chrono::seconds(5));
    http_.set_read_timeout(options.timeout);
    httplib::Headers headers(options.headers.begin(), options.headers.end());
    if (!options.api_key.empty()) headers.emplace("Authorization", "Bearer " + options.api_key);
    http_.set_default_headers(headers);
  }

  AnswerCounts ask(const PlannedRequest& request, const OnTokens& on_tokens) override {
    AnswerCounts counts;
    bool done = false, stopped = false;
    std::string refusal, wrong;
    SseParser events([&](const std::string& data) {
      if (done || stopped) return;
      const OpenAiEvent event = parse_openai_event(data);
      done = event.done;
      if (event.prompt_tokens > 0) counts.prompt_tokens = event.prompt_tokens;
      if (event.output_tokens > 0) counts.output_tokens = event.output_tokens;
      if (event.has_token) stopped = !on_tokens(1);
    });
    int status = 0;
    httplib::Request http;
    http.method = "POST";
    http.path = endpoint_;
    http.set_header("Content-Type", "application/json");
    http.set_header("Accept", "text/event-stream");
    http.body = openai_body(options_.api, model_, request, options_.extra_body).dump();
    http.response_handler = [&](const httplib::Response& response) {
      status = response.status;
      return !cancelled_;
    };
    http.content_receiver = [&](const char* bytes, size_t length, uint64_t, uint64_t) {
      if (status != 200) {
        refusal.append(bytes, std::min(length, kMostErrorBytes - refusal.size()));
        return true;
      }
      try {
        events.feed({bytes, length});
      } catch (const InputError& error) {
        wrong = error.what();
      }
      return wrong.empty() && !stopped && !cancelled_;
    };
    if (cancelled_) throw InputError("cancelled", ErrorCode::kCancelled);
    const httplib::Result result = http_.send(http);
    if (cancelled_ || stopped) throw InputError("cancelled", ErrorCode::kCancelled);
    if (!wrong.empty())
      throw InputError(fmt::format("{}: {}", origin_, wrong), ErrorCode::kUnavailable);
    if (!result) throw no_answer(origin_, result.error());
    if (status != 200) {
      throw InputError(fmt::format("{}: {}", origin_, openai_error_line(status, refusal)),
                       code_of_status(status));
    }
    return counts;
  }

  void cancel() override {
    cancelled_ = true;
    http_.stop();
  }

  // GET; throws InputError.
  std::string get(const std::string& path) {
    const httplib::Result result = http_.Get(path);
    if (!result) throw no_answer(origin_, result.error());
    if (result->status != 200) {
      throw InputError(
          fmt::format("{}{}: {}", origin_, path, openai_error_line(result->status, result->body)),
          code_of_status(result->status));
    }
    return result->body;
  }

 private:
  const OpenAiOptions& options_;
  const std::string origin_, endpoint_, model_;
  httplib::Client http_;
  std::atomic<bool> cancelled_ = false;
};

class OpenAiTarget : public Target {
 public:
  explicit OpenAiTarget(const OpenAiOptions& options)
      : options_(options), url_(split_url(options.base_url)), endpoint_(options.endpoint) {
    if (endpoint_.empty()) {
      endpoint_ = options.api == OpenAiApi::kChat ? "/v1/chat/completions" : "/v1/completions";
    }
    endpoint_ = url_.path + endpoint_;
    info_.model = options.model.empty() ? first_model() : options.model;
  }

  const TargetInfo& info() const override { return info_; }

  std::unique_ptr<Connection> connect() override {
    return std::make_unique<OpenAiConnection>(options_, url_, endpoint_, info_.model);
  }

 private:
  std::string first_model() const {
    const std::string path = url_.path + "/v1/models";
    const std::string place = url_.origin + path;
    const nlohmann::json body =
        parse_json(OpenAiConnection(options_, url_, path, "").get(path), place);
    const nlohmann::json::json_pointer id("/data/0/id");
    if (!body.contains(id) || !body[id].is_string())
      throw InputError(fmt::format("{}: lists no model; name one with --model", place));
    return body[id].get<std::string>();
  }

  const OpenAiOptions options_;
  const Url url_;
  std::string endpoint_;
  TargetInfo info_;
};

}  // namespace

std::unique_ptr<Target> make_openai_target(const OpenAiOptions& options) {
  return std::make_unique<OpenAiTarget>(options);
}

}  // namespace octet
