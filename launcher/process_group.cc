#include "launcher/process_group.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "runtime/request/error.h"

namespace octet {

namespace {

// -1: the child writes where this process does.
int open_output(const std::string& path) {
  if (path.empty()) return -1;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) throw InputError(fmt::format("{}: {}", path, std::strerror(errno)));
  return fd;
}

}  // namespace

ProcessGroup::ProcessGroup(const std::vector<std::string>& command, const std::string& output) {
  const int fd = open_output(output);
  try {
    start(command, fd, fd);
  } catch (...) {
    if (fd >= 0) close(fd);
    throw;
  }
  if (fd >= 0) close(fd);
}

ProcessGroup::ProcessGroup(const std::vector<std::string>& command, int out) {
  start(command, out, -1);
}

void ProcessGroup::start(const std::vector<std::string>& command, int out, int err) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw InputError(fmt::format("fork: {}", std::strerror(errno)));
  if (pid_ > 0) return;
  if (out >= 0) dup2(out, STDOUT_FILENO);
  if (err >= 0) dup2(err, STDERR_FILENO);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (getppid() == parent) execv(argv[0], argv.data());
  _exit(127);
}

ProcessGroup::~ProcessGroup() { terminate(std::chrono::seconds(2)); }

std::optional<int> ProcessGroup::poll() {
  int status = 0;
  if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  return status_;
}

bool ProcessGroup::wait(std::chrono::milliseconds most) {
  const auto end = std::chrono::steady_clock::now() + most;
  while (!poll()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

int ProcessGroup::terminate(std::chrono::milliseconds grace) {
  if (!poll()) kill(pid_, SIGTERM);
  while (!wait(grace)) {
    kill(-pid_, SIGKILL);
    grace = std::chrono::milliseconds(10);
  }
  return *status_;
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  return fmt::format("exited with code {}", WEXITSTATUS(status));
}

}  // namespace octet
