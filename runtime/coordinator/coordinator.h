// Coordinator: the process's one gRPC server. Serves octet.v1.Inference, grpc.health.v1 and
// reflection to clients and octet.v1.Group to the worker group's leader, and outlives any group.
//
// Health: "" and "octet.v1.Inference" are SERVING while a group is attached; a leader attaches once
// its group is loaded. Failure: when the group is lost every live stream ends with UNAVAILABLE, and
// so does each new one until another group attaches. A client that does not read for client_stall
// has its stream reset (CANCELLED).
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "runtime/engine/engine.h"

namespace octet {

struct CoordinatorOptions {
  std::string listen = "127.0.0.1:0";  // HOST:PORT; port 0: any that is free
  std::filesystem::path model;         // for the tokenizer and the chat template
  std::string served_model_name;       // "": the last part of the path
  size_t max_queue = 256;  // requests admitted and unfinished; beyond: RESOURCE_EXHAUSTED
  std::chrono::milliseconds retry_delay{1000};     // what retry-delay-ms says then
  std::chrono::milliseconds leader_silence{5000};  // a leader that says nothing for so long is lost
  std::chrono::milliseconds client_stall{30000};
  // From threads of the server; they must not block or call back.
  std::function<void(const GroupInfo&)> on_group_attached;
  std::function<void(const std::string& why)> on_group_lost;
};

class Coordinator {
 public:
  // Loads the tokenizer and listens. Throws InputError naming the file or the address.
  explicit Coordinator(CoordinatorOptions options);
  ~Coordinator();  // shutdown(0)

  int port() const;
  const std::string& served_model_name() const;
  bool ready() const;         // a group is attached
  size_t unfinished() const;  // requests admitted and not yet finished

  // Refuses new calls (UNAVAILABLE, saying `why`), lets live ones finish for up to `grace`, tells
  // the group to stop, and ends what is left. Any thread; once.
  void shutdown(std::chrono::milliseconds grace,
                const std::string& why = "the coordinator is shutting down");
  void wait();  // until shutdown is complete

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace octet
