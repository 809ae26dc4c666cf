// The coordinator with a real group: real sockets, real engine (ranks as threads), real clients.
#include "runtime/coordinator/coordinator.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "octet/v1/inference.grpc.pb.h"
#include "runtime/coordinator/leader_link.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/testing/group.h"

namespace octet {
namespace {

const std::filesystem::path kModel =
    std::filesystem::path(OCTET_SOURCE_DIR) / "tests/data/tinystories";

class CoordinatorTest : public ::testing::Test {
 protected:
  void start(size_t max_queue = 16) {
    coordinator_ = std::make_unique<Coordinator>(CoordinatorOptions{
        .model = kModel, .served_model_name = "stories", .max_queue = max_queue});
    address_ = "127.0.0.1:" + std::to_string(coordinator_->port());
    channel_ = grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
    stub_ = v1::Inference::NewStub(channel_);
  }

  void attach_group() {
    group_ = std::thread([this] {
      try {
        testing::run_group(
            {.model = kModel, .kv_cache_memory = 4 << 20}, 2, [this](Engine& engine) {
              engine_ = &engine;
              lead_group(engine, {.coordinator = address_, .served_model_name = "stories"});
              engine_ = nullptr;
            });
      } catch (const std::exception&) {  // the coordinator went first
      }
    });
    for (int i = 0; i < 1000 && !coordinator_->ready(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ASSERT_TRUE(coordinator_->ready());
  }

  void TearDown() override {
    if (coordinator_) coordinator_->shutdown(std::chrono::milliseconds(100));
    if (group_.joinable()) group_.join();
  }

  struct Reply {
    std::vector<v1::GenerateResponse> messages;
    std::string text;
    grpc::Status status;
    std::multimap<std::string, std::string> trailers;
  };

  Reply generate(const v1::GenerateRequest& request) {
    grpc::ClientContext context;
    const auto reader = stub_->Generate(&context, request);
    Reply reply;
    v1::GenerateResponse message;
    while (reader->Read(&message)) {
      reply.text += message.text();
      reply.messages.push_back(message);
    }
    reply.status = reader->Finish();
    for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
      reply.trailers.emplace(std::string(key.data(), key.size()),
                             std::string(value.data(), value.size()));
    }
    return reply;
  }

  static v1::GenerateRequest request(const std::string& prompt, uint32_t max_tokens) {
    v1::GenerateRequest request;
    request.set_prompt(prompt);
    request.mutable_sampling()->set_max_tokens(max_tokens);
    request.mutable_sampling()->set_temperature(0);
    request.mutable_sampling()->set_ignore_eos(true);
    return request;
  }

  std::unique_ptr<Coordinator> coordinator_;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Inference::Stub> stub_;
  std::thread group_;
  std::atomic<Engine*> engine_ = nullptr;
};

TEST_F(CoordinatorTest, AnAnswerComesInPiecesWithUsageAtItsEnd) {
  start();
  attach_group();
  auto asked = request("Once upon a time", 300);
  asked.mutable_sampling()->set_logprobs(true);
  const Reply reply = generate(asked);
  ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
  int tokens = 0;
  for (const auto& message : reply.messages) {
    EXPECT_EQ(message.token_ids_size(), message.logprobs_size());
    tokens += message.token_ids_size();
  }
  EXPECT_EQ(tokens, 300);
  EXPECT_GE(reply.messages.size(), 3u);  // tokens made between two writes share a message
  EXPECT_EQ(reply.messages.back().finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(reply.messages.back().usage().completion_tokens(), 300u);
  EXPECT_GT(reply.messages.back().usage().prompt_tokens(), 3u);
  const Reply without = generate(request("Once upon a time", 300));
  EXPECT_EQ(without.text, reply.text);
  for (const auto& message : without.messages) EXPECT_EQ(message.logprobs_size(), 0);
}

TEST_F(CoordinatorTest, AStopStringEndsTheTextBeforeItAcrossTokens) {
  start();
  attach_group();
  const Reply whole = generate(request("Once upon a time", 40));
  const size_t at = whole.text.find("named");
  ASSERT_NE(at, std::string::npos) << whole.text;
  auto stopped = request("Once upon a time", 40);
  stopped.mutable_sampling()->add_stop("amed ");
  const Reply reply = generate(stopped);
  EXPECT_EQ(reply.text, whole.text.substr(0, at + 1));
  EXPECT_EQ(reply.messages.back().finish_reason(), v1::FINISH_REASON_STOP);
}

TEST_F(CoordinatorTest, AFullQueueAnswersWithARetryDelay) {
  start(1);
  attach_group();
  grpc::ClientContext context;
  const auto first = stub_->Generate(&context, request("Once", 450));
  v1::GenerateResponse message;
  ASSERT_TRUE(first->Read(&message));
  const Reply refused = generate(request("Once", 4));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.trailers.count("retry-delay-ms"), 1u);
  context.TryCancel();
  while (first->Read(&message)) {
  }
  EXPECT_EQ(first->Finish().error_code(), grpc::StatusCode::CANCELLED);
  for (int i = 0; i < 200 && engine_.load()->stats().running > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const EngineStats stats = engine_.load()->stats();
  EXPECT_EQ(stats.free_blocks, stats.total_blocks);
  EXPECT_TRUE(generate(request("Once", 4)).status.ok());
}

TEST_F(CoordinatorTest, WithoutAGroupRequestsAreUnavailableAndBadOnesNamed) {
  start();
  EXPECT_EQ(generate(request("Once", 4)).status.error_code(), grpc::StatusCode::UNAVAILABLE);
  attach_group();
  auto unknown = request("Once", 4);
  unknown.set_model("nobody");
  EXPECT_EQ(generate(unknown).status.error_code(), grpc::StatusCode::NOT_FOUND);
  v1::GenerateRequest ids;
  ids.mutable_tokens()->add_ids(99999);
  const Reply outside = generate(ids);
  EXPECT_EQ(outside.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(outside.status.error_message().find("99999"), std::string::npos);
  EXPECT_EQ(generate(v1::GenerateRequest()).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(CoordinatorTest, ModelsAndTokensCanBeAskedFor) {
  start();
  attach_group();
  grpc::ClientContext models_context, tokens_context;
  v1::ListModelsResponse models;
  ASSERT_TRUE(stub_->ListModels(&models_context, {}, &models).ok());
  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).id(), "stories");
  EXPECT_EQ(models.models(0).tensor_parallel_size(), 2u);
  EXPECT_TRUE(models.models(0).ready());
  v1::TokenizeRequest text;
  text.set_prompt("Once upon a time");
  v1::TokenizeResponse tokens;
  ASSERT_TRUE(stub_->Tokenize(&tokens_context, text, &tokens).ok());
  EXPECT_EQ(std::vector<int32_t>(tokens.token_ids().begin(), tokens.token_ids().end()),
            load_tokenizer(kModel)->encode("Once upon a time", true, false));
}

// grpc.health.v1, asked as any client would, by name and without its generated code.
std::string health(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice empty;
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (!status.ok()) return status.error_message();
  std::vector<grpc::Slice> slices;
  response.Dump(&slices);
  std::string bytes;
  for (const grpc::Slice& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes == "\x08\x01" ? "SERVING" : bytes == "\x08\x02" ? "NOT_SERVING" : "?";
}

TEST_F(CoordinatorTest, HealthFollowsTheGroup) {
  start();
  EXPECT_EQ(health(channel_), "NOT_SERVING");
  attach_group();
  EXPECT_EQ(health(channel_), "SERVING");
  engine_.load()->stop();
  for (int i = 0; i < 400 && coordinator_->ready(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(health(channel_), "NOT_SERVING");
}

}  // namespace
}  // namespace octet
