#include "runtime/bench/openai_wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using nlohmann::json;

const json* find(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

bool has_text(const json& object, const char* key) {
  const json* text = find(object, key);
  return text && text->is_string() && !text->get_ref<const std::string&>().empty();
}

int count_of(const json& usage, const char* key) {
  const json* count = find(usage, key);
  if (!count || !count->is_number_unsigned()) return 0;
  return static_cast<int>(std::min<uint64_t>(count->get<uint64_t>(), kMostTokens));
}

// {"error": {"message": ...}}, {"error": "..."}, {"message": ...} or {"detail": ...}.
std::optional<std::string> message_of(const json& body) {
  if (const json* error = find(body, "error")) {
    if (error->is_string()) return error->get<std::string>();
    if (has_text(*error, "message")) return (*error)["message"].get<std::string>();
    return error->dump();
  }
  for (const char* key : {"message", "detail"}) {
    if (has_text(body, key)) return body[key].get<std::string>();
  }
  return {};
}

}  // namespace

json openai_body(OpenAiApi api, const std::string& model, const PlannedRequest& request,
                 const json& extra) {
  json body{{"model", model},
            {"max_tokens", request.max_tokens},
            {"temperature", 0.0},
            {"stream", true},
            {"stream_options", {{"include_usage", true}}}};
  const std::string& prompt = std::get<std::string>(request.prompt);
  if (api == OpenAiApi::kChat) {
    body["messages"] = json::array({{{"role", "user"}, {"content", prompt}}});
  } else {
    body["prompt"] = prompt;
  }
  body.update(extra);
  return body;
}

OpenAiEvent parse_openai_event(const std::string& data) {
  OpenAiEvent event;
  if (data == "[DONE]") {
    event.done = true;
    return event;
  }
  const json body = parse_json(data, "the answer's event");
  if (find(body, "error")) {
    throw InputError(fmt::format("the server answered an error: {}", printable(*message_of(body))),
                     ErrorCode::kUnavailable);
  }
  if (const json* choices = find(body, "choices"); choices && choices->is_array()) {
    for (const json& choice : *choices) {
      const json* delta = find(choice, "delta");
      event.has_token =
          event.has_token || has_text(choice, "text") ||
          (delta && (has_text(*delta, "content") || has_text(*delta, "reasoning_content")));
    }
  }
  if (const json* usage = find(body, "usage")) {
    event.prompt_tokens = count_of(*usage, "prompt_tokens");
    event.output_tokens = count_of(*usage, "completion_tokens");
  }
  return event;
}

std::string openai_error_line(int status, const std::string& body) {
  const json parsed = json::parse(body, nullptr, false);
  const std::optional<std::string> message =
      parsed.is_discarded() ? std::nullopt : message_of(parsed);
  return fmt::format("HTTP {}: {}", status, printable(message.value_or(body)));
}

}  // namespace octet
