// ServedGroup: `octet serve` as a child process on a free port of this host, its output in a file,
// ended with the object. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "launcher/process_group.h"

namespace octet {

class ServedGroup {
 public:
  // `arguments` after `octet serve --port 0`.
  ServedGroup(const std::vector<std::string>& arguments, const std::string& log);

  // HOST:PORT once the group serves. Throws InputError with its own words where it ends before;
  // kCancelled where `interrupted` says so.
  std::string wait_ready(const std::function<bool()>& interrupted);

 private:
  std::string log_;
  std::unique_ptr<ProcessGroup> process_;
};

}  // namespace octet
