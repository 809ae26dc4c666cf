// The runner against servers of known behaviour.
#include "runtime/bench/runner.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "runtime/bench/metrics.h"

namespace octet {
namespace {

using std::chrono::milliseconds;

// Answers after `delay` with three tokens, `at_once` requests at a time; fails where told.
class FakeTarget : public Target {
 public:
  FakeTarget(milliseconds delay, int at_once) : delay_(delay), free_(at_once) {}

  const TargetInfo& info() const override { return info_; }

  std::unique_ptr<Connection> connect() override {
    struct FakeConnection : Connection {
      explicit FakeConnection(FakeTarget& target) : target(target) {}
      AnswerCounts ask(const PlannedRequest&, const OnTokens& on_tokens) override {
        return target.answer(on_tokens, cancelled);
      }
      void cancel() override {
        cancelled = true;
        target.changed_.notify_all();
      }
      FakeTarget& target;
      std::atomic<bool> cancelled = false;
    };
    return std::make_unique<FakeConnection>(*this);
  }

  std::function<void(int number)> fail = [](int) {};

 private:
  AnswerCounts answer(const OnTokens& on_tokens, const std::atomic<bool>& cancelled) {
    std::unique_lock lock(mutex_);
    const int number = asked_++;
    changed_.wait(lock, [&] { return free_ > 0 || cancelled; });
    if (cancelled) throw InputError("cancelled", ErrorCode::kCancelled);
    --free_;
    lock.unlock();
    std::this_thread::sleep_for(delay_);
    lock.lock();
    ++free_;
    changed_.notify_all();
    lock.unlock();
    fail(number);
    for (int i = 0; i < 3; ++i) on_tokens(1);
    return {};
  }

  const milliseconds delay_;
  TargetInfo info_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int free_, asked_ = 0;
};

std::vector<PlannedRequest> every(double seconds, int count) {
  std::vector<PlannedRequest> requests(count);
  for (int i = 0; i < count; ++i) requests[i].at = seconds * i;
  return requests;
}

TEST(Runner, SendTimesDoNotWaitForAnswers) {
  FakeTarget slow(milliseconds(300), 1000);
  const LoadResult measured = run_load(slow, every(0.01, 40), {});
  const Metrics metrics = metrics_of(measured);
  EXPECT_EQ(metrics.completed, 40);
  EXPECT_EQ(metrics.output_tokens, 120);
  EXPECT_LT(metrics.send_lag.median(), 0.15);
  EXPECT_LT(measured.seconds, 2);
  EXPECT_GT(measured.most_in_flight, 20);
}

TEST(Runner, WaitingForAnOverloadedServerCountsAsLatency) {
  FakeTarget one_at_a_time(milliseconds(20), 1);
  const Metrics open = metrics_of(run_load(one_at_a_time, every(0.01, 30), {}));
  EXPECT_GT(open.of(Latency::kTtft).max(), 0.25);
  const Metrics limited =
      metrics_of(run_load(one_at_a_time, every(0.01, 30), {.max_concurrency = 1}));
  EXPECT_GT(limited.of(Latency::kTtft).max(), 0.25);
}

TEST(Runner, AClosedLoopKeepsItsConcurrency) {
  FakeTarget server(milliseconds(10), 1000);
  const LoadResult measured = run_load(server, every(0, 40), {.max_concurrency = 4});
  EXPECT_EQ(measured.records.size(), 40);
  EXPECT_EQ(measured.most_in_flight, 4);
  EXPECT_LT(metrics_of(measured).of(Latency::kTtft).median(), 0.05);
}

TEST(Runner, FailuresAreRecordsAndTheLoadGoesOn) {
  FakeTarget server(milliseconds(1), 1000);
  server.fail = [](int number) {
    if (number % 2 == 0) throw InputError("no", ErrorCode::kResourceExhausted);
  };
  const LoadResult measured = run_load(server, every(0.001, 40), {});
  EXPECT_EQ(measured.records.size(), 40);
  EXPECT_EQ(metrics_of(measured).failed, 20);
  EXPECT_EQ(measured.given_up, "");
}

TEST(Runner, AServerThatIsGoneIsGivenUp) {
  FakeTarget server(milliseconds(1), 1000);
  server.fail = [](int number) {
    if (number >= 20) throw InputError("gone", ErrorCode::kUnreachable);
  };
  const LoadResult measured = run_load(server, every(0.005, 4000), {});
  EXPECT_EQ(metrics_of(measured).completed, 20);
  EXPECT_LT(measured.records.size(), 60);
  EXPECT_NE(measured.given_up, "");
}

TEST(Runner, AnInterruptionCancelsWhatIsInFlightAndKeepsWhatWasMeasured) {
  FakeTarget server(milliseconds(5), 1);
  std::atomic<bool> interrupted = false;
  std::thread user([&] {
    std::this_thread::sleep_for(milliseconds(150));
    interrupted = true;
  });
  const auto start = std::chrono::steady_clock::now();
  const LoadResult measured =
      run_load(server, every(0, 1000), {.max_concurrency = 8, .interrupted = &interrupted});
  user.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_TRUE(measured.interrupted);
  EXPECT_GT(measured.records.size(), 2);
  EXPECT_LT(measured.records.size(), 1000);
  EXPECT_EQ(metrics_of(measured).failed, 0);
}

TEST(Runner, NothingIsSentAfterTheLastSecond) {
  FakeTarget server(milliseconds(5), 1000);
  for (const size_t concurrency : {size_t{0}, size_t{2}}) {
    const LoadResult measured = run_load(server, every(concurrency > 0 ? 0 : 0.01, 10'000),
                                         {.max_concurrency = concurrency, .max_seconds = 0.3});
    EXPECT_LT(measured.seconds, 1.5);
    EXPECT_LT(measured.records.size(), 2000);
    EXPECT_EQ(measured.planned, 10'000);
    EXPECT_FALSE(measured.interrupted);
  }
}

TEST(Runner, ProgressIsToldAndMayEndTheLoad) {
  FakeTarget server(milliseconds(5), 1000);
  const RunOptions options{
      .on_progress = [](const std::vector<Record>& so_far) { return so_far.size() > 10; }};
  const LoadResult measured = run_load(server, every(0.005, 1000), options);
  EXPECT_LT(measured.records.size(), 200);
  EXPECT_FALSE(measured.interrupted);
}

}  // namespace
}  // namespace octet
