#include "launcher/process_group.h"

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

ProcessGroup::ProcessGroup(const std::vector<std::string>& command, Terminal terminal)
    : terminal_(terminal) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw InputError(fmt::format("fork: {}", std::strerror(errno)));
  if (pid_ > 0) return;
  if (terminal == Terminal::kOwnGroup) setpgid(0, 0);
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

int ProcessGroup::terminate(std::chrono::milliseconds grace) {
  if (!poll()) kill(pid_, SIGTERM);
  const auto end = std::chrono::steady_clock::now() + grace;
  while (!poll()) {
    if (std::chrono::steady_clock::now() > end)
      kill(terminal_ == Terminal::kOwnGroup ? -pid_ : pid_, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return *status_;
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by signal {}", WTERMSIG(status));
  return fmt::format("exited with code {}", WEXITSTATUS(status));
}

}  // namespace octet
