#include "runtime/bench/sse_parser.h"

#include <gtest/gtest.h>

#include "tests/formats/expect_input_error.h"

namespace octet {
namespace {

const std::string kStream =
    ": a comment\n\ndata: {\"a\": 1}\n\nevent: x\ndata:no space\r\ndata:  two lines\r\nid: "
    "7\r\n\r\n"
    "data\n\ndata: \xc3\xa9\r\rretry: 5\n\ndata: [DONE]\n\ndata: never ended";
const std::vector<std::string> kEvents{"{\"a\": 1}", "no space\n two lines", "\xc3\xa9", "[DONE]"};

TEST(SseParser, EventsDoNotDependOnWhereTheStreamIsCut) {
  for (size_t first = 0; first <= kStream.size(); ++first) {
    for (size_t second = first; second <= kStream.size(); ++second) {
      std::vector<std::string> events;
      SseParser parser([&](const std::string& data) { events.push_back(data); });
      parser.feed(std::string_view(kStream).substr(0, first));
      parser.feed(std::string_view(kStream).substr(first, second - first));
      parser.feed(std::string_view(kStream).substr(second));
      ASSERT_EQ(events, kEvents) << "cut at " << first << " and " << second;
    }
  }
}

TEST(SseParser, EventsOfSingleBytesAreTheSame) {
  std::vector<std::string> events;
  SseParser parser([&](const std::string& data) { events.push_back(data); });
  for (const char c : kStream) parser.feed({&c, 1});
  EXPECT_EQ(events, kEvents);
}

TEST(SseParser, AnEndlessEventIsRefused) {
  SseParser parser([](const std::string&) {});
  const std::string much(1 << 20, 'x');
  EXPECT_INPUT_ERROR(for (int i = 0; i < 20; ++i) parser.feed(much),
                     "an event of more than 16777216 bytes");
}

}  // namespace
}  // namespace octet
