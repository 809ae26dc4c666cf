// The OpenAI API as JSON: the body of a request, and what the events of its answer say.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "runtime/bench/workload.h"

namespace octet {

enum class OpenAiApi { kCompletions, kChat };

// The body that asks for a streamed answer. `extra` is merged into it, field by field, last.
// REQUIRES a prompt of text.
nlohmann::json openai_body(OpenAiApi api, const std::string& model, const PlannedRequest& request,
                           const nlohmann::json& extra);

struct OpenAiEvent {
  bool has_token = false;                    // some text of the answer
  bool done = false;                         // "[DONE]"
  int prompt_tokens = 0, output_tokens = 0;  // of its usage; 0: none in this event
};

// Throws InputError for what is not JSON, and with the server's message for an error.
OpenAiEvent parse_openai_event(const std::string& data);

// One line out of the body of an answer with an HTTP error: the error's message where there is one.
std::string openai_error_line(int status, const std::string& body);

}  // namespace octet
