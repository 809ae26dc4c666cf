#include "runtime/bench/openai_wire.h"

#include <gtest/gtest.h>

#include "tests/formats/expect_input_error.h"

namespace octet {
namespace {

TEST(OpenAiWire, ABodyAsksForAStreamWithUsage) {
  const PlannedRequest request{.prompt = "Hello", .max_tokens = 9};
  const auto body = openai_body(OpenAiApi::kCompletions, "m", request, {{"temperature", 0.5}});
  EXPECT_EQ(body["prompt"], "Hello");
  EXPECT_EQ(body["max_tokens"], 9);
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["stream_options"]["include_usage"], true);
  EXPECT_EQ(body["temperature"], 0.5);
  const auto chat = openai_body(OpenAiApi::kChat, "m", request, nlohmann::json::object());
  EXPECT_EQ(chat["messages"][0]["content"], "Hello");
  EXPECT_FALSE(chat.contains("prompt"));
}

TEST(OpenAiWire, OnlyTextIsAToken) {
  const auto has_token = [](const char* data) { return parse_openai_event(data).has_token; };
  EXPECT_TRUE(has_token(R"({"choices": [{"text": " a"}]})"));
  EXPECT_TRUE(has_token(R"({"choices": [{"delta": {"content": "b"}}]})"));
  EXPECT_TRUE(has_token(R"({"choices": [{"delta": {"reasoning_content": "c"}}]})"));
  EXPECT_FALSE(has_token(R"({"choices": [{"delta": {"role": "assistant", "content": ""}}]})"));
  EXPECT_FALSE(has_token(R"({"choices": [{"text": "", "finish_reason": "stop"}]})"));
  EXPECT_FALSE(has_token(R"({"choices": [{"delta": {"content": null}}]})"));
  EXPECT_FALSE(has_token(R"({"choices": []})"));
  EXPECT_FALSE(has_token(R"([1])"));
}

TEST(OpenAiWire, UsageAndTheEndAreRead) {
  const OpenAiEvent event = parse_openai_event(
      R"({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 34}})");
  EXPECT_EQ(event.prompt_tokens, 12);
  EXPECT_EQ(event.output_tokens, 34);
  EXPECT_TRUE(parse_openai_event("[DONE]").done);
  EXPECT_EQ(parse_openai_event(R"({"usage": {"prompt_tokens": -5}})").prompt_tokens, 0);
  EXPECT_EQ(parse_openai_event(R"({"usage": null})").prompt_tokens, 0);
}

TEST(OpenAiWire, AnErrorInTheStreamIsOneLine) {
  EXPECT_INPUT_ERROR(parse_openai_event(R"({"error": {"message": "out of\nmemory"}})"),
                     "out of\\x0amemory");
  EXPECT_INPUT_ERROR(parse_openai_event(R"({"error": 5})"), "5");
  EXPECT_INPUT_ERROR(parse_openai_event("<html>"), "not valid JSON");
  EXPECT_INPUT_ERROR(parse_openai_event(std::string(1000, '[')), "nested deeper");
}

TEST(OpenAiWire, AnErrorsBodyIsOneLine) {
  EXPECT_EQ(openai_error_line(429, R"({"error": {"message": "slow down"}})"),
            "HTTP 429: 'slow down'");
  EXPECT_EQ(openai_error_line(404, R"({"detail": "Not Found"})"), "HTTP 404: 'Not Found'");
  EXPECT_EQ(openai_error_line(500, "oh\nno"), "HTTP 500: 'oh\\x0ano'");
  EXPECT_LT(openai_error_line(500, std::string(10'000, 'x')).size(), 200);
}

}  // namespace
}  // namespace octet
