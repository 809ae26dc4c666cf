#include "runtime/capacity/measurement.h"

#include <gtest/gtest.h>

#include "runtime/capacity/stopwatch.h"

namespace octet {
namespace {

TEST(Measurement, TheCommunicatorItNeedsCarriesTheLargestReduceAndTheEnginesSteps) {
  const CommOptions options = measurement_comm_options({}, 2);
  EXPECT_GE(options.max_reduce_floats, size_t{4} << 20);
  EXPECT_GT(options.max_message_bytes, 64 * 64 * sizeof(int32_t));
}

TEST(Stopwatch, SecondsAreOfACallNotOfASample) {
  int calls = 0;
  const double seconds = call_seconds(3, 5, [&](int i) { EXPECT_EQ(i, calls++); });
  EXPECT_EQ(calls, 15);
  EXPECT_LT(seconds, 0.1);
}

}  // namespace
}  // namespace octet
