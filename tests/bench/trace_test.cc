#include "runtime/bench/trace.h"

#include <gtest/gtest.h>

#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

constexpr size_t kAll = 1 << 20;

class TraceTest : public ::testing::Test {
 protected:
  std::filesystem::path file(std::string_view text) {
    const auto path = folder_ / "trace.csv";
    write_file(path, text);
    return path;
  }

  TempFolder folder_;
};

TEST_F(TraceTest, AzureTimesCountFromTheFirstRow) {
  const Trace trace = read_azure_trace(file("TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                                            "2023-11-16 23:59:59.5000000,374,44\r\n"
                                            "2023-11-17 00:00:01.2500000,396,109\r\n"),
                                       kAll, Malformed::kRefuse);
  ASSERT_EQ(trace.rows.size(), 2);
  EXPECT_EQ(trace.rows[0].at, 0);
  EXPECT_NEAR(trace.rows[1].at, 1.75, 1e-6);
  EXPECT_EQ(trace.rows[1].input_tokens, 396);
  EXPECT_EQ(trace.rows[1].output_tokens, 109);
}

TEST_F(TraceTest, AzureTimesMayHaveAZoneAndColumnsMayBeInAnyOrder) {
  const Trace trace = read_azure_trace(file("GeneratedTokens,TIMESTAMP,x,ContextTokens\n"
                                            "5,2024-05-10 00:00:00.009930+00:00,,7\n"
                                            "6,2024-05-10T00:00:02Z,,8\n"),
                                       kAll, Malformed::kRefuse);
  EXPECT_NEAR(trace.rows[1].at, 1.99007, 1e-5);
  EXPECT_EQ(trace.rows[1].input_tokens, 8);
}

TEST_F(TraceTest, BurstGptRowsWithoutAnAnswerArePassedOver) {
  const auto path = file(
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
      "5,ChatGPT,472,18,490,Conversation log\n"
      "45,GPT-4,10,0,10,\"API log, with a comma\"\n"
      "118,ChatGPT,1087,230,1317,Conversation log\n"
      "200,ChatGPT,1,1,2,API log\n");
  const Trace trace = read_burstgpt_trace(path, 2, Malformed::kRefuse);
  ASSERT_EQ(trace.rows.size(), 2);
  EXPECT_EQ(trace.rows[1].at, 113);
  EXPECT_EQ(trace.rows[1].output_tokens, 230);
}

TEST_F(TraceTest, AMalformedLineIsNamedOrSkipped) {
  const char* kHead = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,10,10\n";
  const std::pair<const char*, const char*> kLines[] = {
      {"2023-11-16 18:00:01,ten,10", "ContextTokens is 'ten'"},
      {"2023-11-16 18:00:01,10", "has 2 fields"},
      {"2023-11-16 18:00:01,0,10", "ContextTokens is '0'"},
      {"2023-11-16 18:00:01,10,-4", "GeneratedTokens is '-4'"},
      {"2023-11-16 18:00:01,10,99999999999999999999", "GeneratedTokens is '99999999999999999999'"},
      {"2023-13-16 18:00:01,10,10", "TIMESTAMP is '2023-13-16 18:00:01'"},
      {"2023-11-16 17:59:00,10,10", "before the line above it"},
      {"yesterday,10,10", "TIMESTAMP is 'yesterday'"},
      {"\x01\x02\xff,10,10", "TIMESTAMP is '\\x01\\x02\\xff'"}};
  for (const auto& [line, fault] : kLines) {
    const auto path = file(std::string(kHead) + line + "\n2023-11-16 18:00:02,20,20\n");
    EXPECT_INPUT_ERROR(read_azure_trace(path, kAll, Malformed::kRefuse), path.string() + ":3",
                       fault);
    const Trace trace = read_azure_trace(path, kAll, Malformed::kSkip);
    EXPECT_EQ(trace.rows.size(), 2);
    EXPECT_EQ(trace.left_out, 1);
    EXPECT_NE(trace.first_fault.find(fault), std::string::npos) << trace.first_fault;
  }
}

TEST_F(TraceTest, AFileThatIsNoTraceIsNamed) {
  EXPECT_INPUT_ERROR(read_azure_trace(folder_ / "none", kAll, Malformed::kSkip), "cannot be read");
  EXPECT_INPUT_ERROR(read_azure_trace(folder_.path(), kAll, Malformed::kSkip), "cannot be read");
  EXPECT_INPUT_ERROR(read_azure_trace(file(""), kAll, Malformed::kSkip), "is empty");
  EXPECT_INPUT_ERROR(read_azure_trace(file("a,b\n"), kAll, Malformed::kSkip),
                     "no column 'TIMESTAMP'");
  EXPECT_INPUT_ERROR(read_burstgpt_trace(file("Timestamp,Request tokens,Response tokens\nx,y,z\n"),
                                         kAll, Malformed::kSkip),
                     "has no request", "Timestamp is 'x'");
}

TEST_F(TraceTest, ShareGptGivesTheFirstQuestionAndItsAnswersLength) {
  const auto path = file(R"([
    {"id": "a", "conversations": [{"from": "human", "value": "What is 2+2?"}, {"from": "gpt", "value": "It is 4."}]},
    {"id": "b", "conversations": [{"from": "gpt", "value": "Hello"}, {"from": "human", "value": "Hi"}]},
    {"id": "c", "conversations": []},
    {"id": "d", "conversations": [{"from": "human", "value": "Go on"}, {"from": "gpt", "value": "On."}]}])");
  const Trace trace = read_sharegpt_trace(path, kAll, Malformed::kRefuse);
  ASSERT_EQ(trace.rows.size(), 2);
  EXPECT_EQ(trace.rows[0].prompt, "What is 2+2?");
  EXPECT_EQ(trace.rows[0].output_tokens, 2);
  EXPECT_EQ(trace.rows[1].output_tokens, 1);
  EXPECT_EQ(read_sharegpt_trace(path, 1, Malformed::kRefuse).rows.size(), 1);
}

TEST_F(TraceTest, HostileShareGptIsOneLine) {
  const auto refused = [&](std::string_view text, const char* fault) {
    EXPECT_INPUT_ERROR(read_sharegpt_trace(file(text), kAll, Malformed::kRefuse), fault);
  };
  refused("", "not valid JSON");
  refused("{\"conversations\": []}", "must be an array");
  refused("[]", "no question with an answer");
  refused("[1, 2]", "no question with an answer");
  refused(R"([{"id": 1}])", "conversation 1: has no array 'conversations'");
  refused(R"([{"conversations": [1, 2]}])", "conversation 1: a turn has no text 'from'");
  refused(R"([{"conversations": [{"from": "human"}, {}]}])", "no text 'value'");
  refused(R"([{"conversations": [{"from": "human", "value": "cut)", "after conversation 0");
  refused("[{\"conversations\": [{\"from\": \"human\", \"value\": \"\xff\"}]}]", "not valid JSON");
  refused(std::string(100'000, '['), "nested deeper");
}

TEST_F(TraceTest, AMalformedConversationIsSkippedWhenAsked) {
  const auto path = file(R"([{"id": 1}, {"conversations":
      [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}])");
  const Trace trace = read_sharegpt_trace(path, kAll, Malformed::kSkip);
  EXPECT_EQ(trace.rows.size(), 1);
  EXPECT_EQ(trace.left_out, 1);
}

}  // namespace
}  // namespace octet
