#include "runtime/bench/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTick(100);

class Load {
 public:
  Load(Target& target, const std::vector<PlannedRequest>& requests, const RunOptions& options)
      : target_(target),
        requests_(requests),
        options_(options),
        closed_loop_(options.max_concurrency > 0 && (requests.empty() || requests.back().at == 0)),
        most_threads_(options.max_concurrency > 0 ? std::min(options.max_concurrency, kMostThreads)
                                                  : kMostThreads) {}

  LoadResult run() {
    std::unique_lock lock(mutex_);
    start_ = Clock::now();
    for (size_t i = 0; i < requests_.size() && !ended_; ++i) {
      wait_for(lock, requests_[i].at);
      if (!ended_) dispatch(i);
    }
    while (in_flight_ > 0 || !queue_.empty()) {
      progress_.wait_until(lock, next_tick_);
      tick();
    }
    closing_ = true;
    lock.unlock();
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    return finished();
  }

 private:
  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  void wait_for(std::unique_lock<std::mutex>& lock, double at) {
    const auto until =
        start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(at));
    tick();
    while (!ended_ && Clock::now() < until) {
      progress_.wait_until(lock, std::min(until, next_tick_));
      tick();
    }
  }

  // Tells and asks, now and then, what options_ want told and asked.
  void tick() {
    if (Clock::now() < next_tick_) return;
    next_tick_ = Clock::now() + kTick;
    if (options_.interrupted && *options_.interrupted) {
      measurement_.interrupted = true;
      end_at_once();
    }
    if (options_.max_seconds > 0 && now() >= options_.max_seconds) send_no_more();
    if (options_.on_progress && !cancelled_ && options_.on_progress(measurement_.records)) {
      end_at_once();
    }
  }

  void send_no_more() {
    ended_ = true;
    queue_.clear();
  }

  void end_at_once() {
    send_no_more();
    cancelled_ = true;
    for (Connection* connection : connections_) connection->cancel();
  }

  void dispatch(size_t index) {
    queue_.push_back(index);
    if (idle_ >= queue_.size()) {
      work_.notify_one();
    } else if (threads_.size() < most_threads_) {
      threads_.emplace_back([this] { work(); });
    }
  }

  void work() {
    const std::unique_ptr<Connection> connection = target_.connect();
    std::unique_lock lock(mutex_);
    connections_.push_back(connection.get());
    while (true) {
      ++idle_;
      work_.wait(lock, [&] { return closing_ || !queue_.empty(); });
      --idle_;
      if (queue_.empty()) break;
      const size_t index = queue_.front();
      queue_.pop_front();
      measurement_.most_in_flight = std::max(measurement_.most_in_flight, ++in_flight_);
      lock.unlock();
      Record record = ask(*connection, index);
      lock.lock();
      --in_flight_;
      keep(std::move(record));
      progress_.notify_one();
    }
    std::erase(connections_, connection.get());
  }

  Record ask(Connection& connection, size_t index) const {
    Record record{.index = index, .sent = now()};
    record.due = closed_loop_ ? record.sent : requests_[index].at;
    int tokens = 0;
    try {
      const AnswerCounts counts = connection.ask(requests_[index], [&](int more) {
        record.arrivals.push_back(now());
        tokens += more;
        return true;
      });
      record.prompt_tokens =
          counts.prompt_tokens > 0 ? counts.prompt_tokens : requests_[index].prompt_tokens;
      record.output_tokens = counts.output_tokens > 0 ? counts.output_tokens : tokens;
    } catch (const InputError& error) {
      record.error = error.what();
      record.code = error.code();
    }
    record.end = now();
    return record;
  }

  void keep(Record record) {
    if (cancelled_ && record.code == ErrorCode::kCancelled && !record.error.empty()) return;
    const bool lost = !record.error.empty() && (record.code == ErrorCode::kUnreachable ||
                                                record.code == ErrorCode::kUnavailable);
    lost_ = lost ? lost_ + 1 : 0;
    if (lost_ == kGiveUpAfter && !ended_) {
      measurement_.given_up = fmt::format("{} requests in a row found no server", lost_);
      send_no_more();
    }
    measurement_.records.push_back(std::move(record));
  }

  LoadResult finished() {
    measurement_.planned = requests_.size();
    double first = 0, last = 0;
    for (const Record& record : measurement_.records) {
      first = last == 0 ? record.due : std::min(first, record.due);
      last = std::max(last, record.end);
    }
    measurement_.seconds = last - first;
    return std::move(measurement_);
  }

  Target& target_;
  const std::vector<PlannedRequest>& requests_;
  const RunOptions& options_;
  const bool closed_loop_;
  const size_t most_threads_;
  Clock::time_point start_;

  std::mutex mutex_;  // guards what is below
  std::condition_variable work_, progress_;
  std::deque<size_t> queue_;
  std::vector<std::thread> threads_;
  std::vector<Connection*> connections_;
  size_t idle_ = 0, in_flight_ = 0;
  Clock::time_point next_tick_;
  int lost_ = 0;            // requests in a row that found no server
  bool ended_ = false;      // nothing more is sent
  bool cancelled_ = false;  // what was in flight has been cancelled
  bool closing_ = false;    // the threads return
  LoadResult measurement_;
};

}  // namespace

LoadResult run_load(Target& target, const std::vector<PlannedRequest>& requests,
                    const RunOptions& options) {
  return Load(target, requests, options).run();
}

}  // namespace octet
