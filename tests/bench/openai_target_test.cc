// The OpenAI client against HTTP servers that behave and that do not.
#include "runtime/bench/openai_target.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/formats/expect_input_error.h"

namespace octet {
namespace {

const std::string kToken = "data: {\"choices\": [{\"text\": \" a\"}]}\n\n";
const std::string kUsage =
    "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 5}}\n\n"
    "data: [DONE]\n\n";

class OpenAiTargetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.Get("/v1/models", [](const httplib::Request&, httplib::Response& response) {
      response.set_content(R"({"data": [{"id": "first"}, {"id": "second"}]})", "application/json");
    });
    server_.Post("/v1/completions",
                 [this](const httplib::Request& request, httplib::Response& response) {
                   body_ = request.body;
                   authorization_ = request.get_header_value("Authorization");
                   answer_(response);
                 });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  void TearDown() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  // Streams `parts`, then ends the answer, well or not.
  void stream(const std::vector<std::string>& parts, bool ends_well = true) {
    answer_ = [=](httplib::Response& response) {
      response.set_chunked_content_provider("text/event-stream",
                                            [=](size_t, httplib::DataSink& sink) {
                                              for (const std::string& part : parts)
                                                sink.write(part.data(), part.size());
                                              if (!ends_well) return false;
                                              sink.done();
                                              return true;
                                            });
    };
  }

  AnswerCounts ask(int& tokens, OpenAiOptions options = {}) {
    options.base_url = url();
    const auto target = make_openai_target(options);
    return target->connect()->ask(kRequest, [&](int more) {
      tokens += more;
      return true;
    });
  }

  const PlannedRequest kRequest{.prompt = "Hello", .max_tokens = 5};
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::function<void(httplib::Response&)> answer_;
  std::string body_, authorization_;
};

TEST_F(OpenAiTargetTest, TokensAndUsageOfAStreamAreCounted) {
  stream({kToken, kToken.substr(0, 10), kToken.substr(10) + kToken, kUsage});
  int tokens = 0;
  const AnswerCounts counts = ask(tokens, {.api_key = "secret"});
  EXPECT_EQ(tokens, 3);
  EXPECT_EQ(counts.prompt_tokens, 7);
  EXPECT_EQ(counts.output_tokens, 5);
  EXPECT_EQ(authorization_, "Bearer secret");
  EXPECT_EQ(nlohmann::json::parse(body_)["model"], "first");
  EXPECT_EQ(nlohmann::json::parse(body_)["prompt"], "Hello");
}

TEST_F(OpenAiTargetTest, AConnectionServesManyRequests) {
  stream({kToken, kUsage});
  OpenAiOptions options{.base_url = url() + "/v1/"};
  const auto target = make_openai_target(options);
  const auto connection = target->connect();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(connection->ask(kRequest, [](int) { return true; }).output_tokens, 5);
  }
}

TEST_F(OpenAiTargetTest, AnErrorStatusIsOneLineWithTheServersWords) {
  const std::pair<int, ErrorCode> kStatuses[] = {{400, ErrorCode::kInvalidArgument},
                                                 {404, ErrorCode::kNotFound},
                                                 {429, ErrorCode::kResourceExhausted},
                                                 {503, ErrorCode::kUnavailable}};
  for (const auto& [status, code] : kStatuses) {
    answer_ = [status = status](httplib::Response& response) {
      response.status = status;
      response.set_content(R"({"error": {"message": "the server's words"}})", "application/json");
    };
    int tokens = 0;
    try {
      ask(tokens);
      ADD_FAILURE() << status;
    } catch (const InputError& error) {
      EXPECT_EQ(error.code(), code);
      EXPECT_EQ(error.what(),
                url() + ": HTTP " + std::to_string(status) + ": 'the server's words'");
    }
  }
}

TEST_F(OpenAiTargetTest, AnAnswerThatBreaksOffOrIsNoStreamFails) {
  int tokens = 0;
  stream({kToken}, false);
  EXPECT_INPUT_ERROR(ask(tokens), "broke off");
  stream({"data: <html>\n\n"});
  EXPECT_INPUT_ERROR(ask(tokens), "not valid JSON");
  stream({"data: {\"error\": {\"message\": \"out of memory\"}}\n\n"});
  EXPECT_INPUT_ERROR(ask(tokens), "out of memory");
}

TEST_F(OpenAiTargetTest, ACancelEndsAnAnswerThatNeverComes) {
  std::atomic<bool> ended = false;
  answer_ = [&](httplib::Response& response) {
    response.set_chunked_content_provider(
        "text/event-stream", [&](size_t, httplib::DataSink& sink) {
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return !ended && sink.is_writable();
        });
  };
  const auto target = make_openai_target({.base_url = url()});
  const auto connection = target->connect();
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    connection->cancel();
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_INPUT_ERROR(connection->ask(kRequest, [](int) { return true; }), "cancelled");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
  user.join();
  ended = true;
}

TEST_F(OpenAiTargetTest, WhatDoesNotAnswerOrIsNoAddressIsSaid) {
  server_.stop();
  thread_.join();
  try {
    make_openai_target({.base_url = url()});
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnreachable);
    EXPECT_EQ(error.what(), url() + ": nothing answers");
  }
  for (const char* text : {"", "http://", "ftp://host:1", "http:///v1"}) {
    EXPECT_INPUT_ERROR(make_openai_target({.base_url = text}), "is no address");
  }
}

}  // namespace
}  // namespace octet
