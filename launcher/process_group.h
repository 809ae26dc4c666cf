// ProcessGroup: a child process and its descendants, supervised. The child leads a process group of
// its own, so that the terminal's signals reach this process alone, gets SIGTERM when this process
// dies in any way, and is ended and reaped in the destructor. One thread: the one that starts it
// must live as long.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace octet {

class ProcessGroup {
 public:
  // With `output` the child's stdout and stderr go to that file. Throws InputError.
  explicit ProcessGroup(const std::vector<std::string>& command, const std::string& output = "");
  // Its stdout goes to the open file `out`.
  ProcessGroup(const std::vector<std::string>& command, int out);
  ~ProcessGroup();  // terminate(2 s)
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  pid_t pid() const { return pid_; }

  // The status as waitpid gives it, once the child has ended.
  std::optional<int> poll();

  // Whether the child has ended, or does within so long.
  bool wait(std::chrono::milliseconds most);

  // SIGTERM, then SIGKILL to the whole group after `grace`. Returns the status.
  int terminate(std::chrono::milliseconds grace);

 private:
  void start(const std::vector<std::string>& command, int out, int err);  // -1: this process's

  pid_t pid_ = -1;
  std::optional<int> status_;
};

std::string describe_status(int status);  // "exited with code 3", "was killed by signal 9"

}  // namespace octet
