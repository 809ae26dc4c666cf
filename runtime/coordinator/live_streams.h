// LiveStreams: owns every Generate stream from its start until gRPC is done with it. Threads: any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace octet {

class GenerateStream;

class LiveStreams {
 public:
  void add(std::shared_ptr<GenerateStream> stream);
  void remove(const GenerateStream* stream);  // may destroy it

  bool wait_empty(std::chrono::steady_clock::time_point until);  // false: some are left

  // Ends the streams whose client has not read for longer than `limit`, so that they cannot pile
  // up.
  void reset_stalled(std::chrono::milliseconds limit);

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  std::unordered_map<const GenerateStream*, std::shared_ptr<GenerateStream>> streams_;
};

}  // namespace octet
