#include <atomic>

#include "runtime/bench/target.h"

namespace octet {
namespace {

class SpreadConnection : public Connection {
 public:
  SpreadConnection(std::vector<std::unique_ptr<Connection>> connections, std::atomic<size_t>& turn)
      : connections_(std::move(connections)), turn_(turn) {}

  AnswerCounts ask(const PlannedRequest& request, const OnTokens& on_tokens) override {
    return connections_[turn_++ % connections_.size()]->ask(request, on_tokens);
  }

  void cancel() override {
    for (const auto& connection : connections_) connection->cancel();
  }

 private:
  std::vector<std::unique_ptr<Connection>> connections_;
  std::atomic<size_t>& turn_;
};

class SpreadTarget : public Target {
 public:
  explicit SpreadTarget(std::vector<std::unique_ptr<Target>> targets)
      : targets_(std::move(targets)) {}

  const TargetInfo& info() const override { return targets_.front()->info(); }

  std::unique_ptr<Connection> connect() override {
    std::vector<std::unique_ptr<Connection>> connections;
    for (const auto& target : targets_) connections.push_back(target->connect());
    return std::make_unique<SpreadConnection>(std::move(connections), turn_);
  }

 private:
  std::vector<std::unique_ptr<Target>> targets_;
  std::atomic<size_t> turn_ = 0;
};

}  // namespace

std::unique_ptr<Target> spread_over(std::vector<std::unique_ptr<Target>> targets) {
  if (targets.size() == 1) return std::move(targets.front());
  return std::make_unique<SpreadTarget>(std::move(targets));
}

}  // namespace octet
