#include "runtime/coordinator/live_streams.h"

#include <utility>

#include "runtime/coordinator/generate_stream.h"

namespace octet {

void LiveStreams::add(std::shared_ptr<GenerateStream> stream) {
  const std::lock_guard lock(mutex_);
  const GenerateStream* key = stream.get();
  streams_.emplace(key, std::move(stream));
}

void LiveStreams::remove(const GenerateStream* stream) {
  std::shared_ptr<GenerateStream> last;  // outlives the lock
  const std::lock_guard lock(mutex_);
  if (const auto found = streams_.find(stream); found != streams_.end()) {
    last = std::move(found->second);
    streams_.erase(found);
  }
  if (streams_.empty()) empty_.notify_all();
}

bool LiveStreams::wait_empty(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(mutex_);
  return empty_.wait_until(lock, until, [this] { return streams_.empty(); });
}

void LiveStreams::reset_stalled(std::chrono::milliseconds limit) {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, stream] : streams_) stream->reset_if_stalled(limit);
}

}  // namespace octet
