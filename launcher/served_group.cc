#include "launcher/served_group.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "runtime/request/error.h"

namespace octet {
namespace {

// "octet: serving NAME on HOST:PORT (tp 2) ready in 0.31 s" -> HOST:PORT
std::optional<std::string> served_address(const std::string& line) {
  if (!line.starts_with("octet: serving ")) return {};
  const size_t end = line.rfind(" (tp ");
  const size_t on = line.rfind(" on ", end);
  if (end == std::string::npos || on == std::string::npos) return {};
  return line.substr(on + 4, end - on - 4);
}

std::string last_error(const std::string& log) {
  std::ifstream in(log);
  std::string found = log + " has no error";
  for (std::string line; std::getline(in, line);) {
    if (const size_t at = line.find("error: "); at != std::string::npos)
      found = line.substr(at + 7);
  }
  return found;
}

}  // namespace

ServedGroup::ServedGroup(const std::vector<std::string>& arguments, const std::string& log)
    : log_(log) {
  std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe").string(),
                                   "serve", "--port=0"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  process_ = std::make_unique<ProcessGroup>(command, log);
}

std::string ServedGroup::wait_ready(const std::function<bool()>& interrupted) {
  while (true) {
    std::ifstream in(log_);
    for (std::string line; std::getline(in, line);) {
      if (const auto address = served_address(line)) return *address;
    }
    if (process_->poll()) {
      throw InputError(
          fmt::format("octet serve {}: {}", describe_status(*process_->poll()), last_error(log_)));
    }
    if (interrupted()) throw InputError("interrupted", ErrorCode::kCancelled);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace octet
