// A server of the OpenAI API over HTTP or HTTPS, ours or not: completions or chat completions,
// streamed.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/bench/openai_wire.h"
#include "runtime/bench/target.h"

namespace octet {

struct OpenAiOptions {
  std::string base_url;  // http://HOST:PORT, with or without a path before /v1
  OpenAiApi api = OpenAiApi::kCompletions;
  std::string endpoint;  // "": /v1/completions or /v1/chat/completions
  std::string model;     // "": the first that /v1/models lists
  std::map<std::string, std::string> headers;
  std::string api_key;  // "": no Authorization header
  nlohmann::json extra_body = nlohmann::json::object();
  std::chrono::milliseconds timeout{600'000};  // without a byte
};

// Throws InputError: a URL that is none; kUnreachable where nothing answers; a server that lists no
// model when none is named.
std::unique_ptr<Target> make_openai_target(const OpenAiOptions& options);

}  // namespace octet
