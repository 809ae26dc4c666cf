#include "launcher/mpirun.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "kernels/say.h"
#include "launcher/exit_codes.h"
#include "launcher/interrupts.h"
#include "launcher/process_group.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

std::string find_mpirun() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = folder + "/mpirun";
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  throw InputError(
      "mpirun is not on PATH; Open MPI is needed for more than one rank "
      "(apt install openmpi-bin)");
}

std::vector<std::string> own_arguments() {
  std::ifstream in("/proc/self/cmdline");
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(in, argument, '\0');) arguments.push_back(argument);
  arguments.erase(arguments.begin());
  return arguments;
}

// Copies what a child writes to this process's stdout. mpirun itself drops, without a word, what a
// full disk does not take.
class OutputRelay {
 public:
  OutputRelay() {
    if (pipe2(pipe_, O_CLOEXEC) != 0) {
      throw InputError(fmt::format("pipe: {}", std::strerror(errno)));
    }
  }
  ~OutputRelay() {  // what is not written by now is lost
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    close(pipe_[0]);
    if (pipe_[1] >= 0) close(pipe_[1]);
  }
  OutputRelay(const OutputRelay&) = delete;
  OutputRelay& operator=(const OutputRelay&) = delete;

  int input() const { return pipe_[1]; }
  void start() {  // once the child has its input
    close(std::exchange(pipe_[1], -1));
    thread_ = std::thread([this] { copy(); });
  }
  bool done() const { return done_; }      // all is written that the child wrote, or it failed
  bool failed() const { return failed_; }  // stdout takes no more
  void wait(std::chrono::milliseconds most) const {
    const auto end = std::chrono::steady_clock::now() + most;
    while (!done_ && !failed_ && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

 private:
  // False: not within a tenth of a second. Nothing here may block for longer: a reader that stops
  // reading must not keep this process from ending.
  static bool is_ready(int fd, short events) {
    pollfd file{.fd = fd, .events = events, .revents = 0};
    return poll(&file, 1, 100) > 0;
  }

  void copy() {
    std::array<char, 65536> buffer;
    while (!stop_) {
      if (!is_ready(pipe_[0], POLLIN)) continue;
      const ssize_t got = read(pipe_[0], buffer.data(), buffer.size());
      if (got > 0) {
        write_all({buffer.data(), static_cast<size_t>(got)});
      } else if (got == 0 || errno != EINTR) {
        failed_ = failed_ || got < 0;
        break;
      }
    }
    done_ = true;
  }

  void write_all(std::span<const char> bytes) {
    while (!bytes.empty() && !stop_ && !failed_) {
      if (!is_ready(STDOUT_FILENO, POLLOUT)) continue;
      const ssize_t put =
          write(STDOUT_FILENO, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
      if (put >= 0) {
        bytes = bytes.subspan(static_cast<size_t>(put));
      } else if (errno != EINTR && errno != EAGAIN) {
        failed_ = true;
      }
    }
  }

  int pipe_[2] = {-1, -1};
  std::thread thread_;
  std::atomic<bool> stop_ = false, done_ = false, failed_ = false;
};

}  // namespace

std::vector<std::string> mpirun_command(int ranks, const std::vector<std::string>& arguments,
                                        const std::string& hostfile) {
  std::vector<std::string> command{find_mpirun(), "--quiet", "--oversubscribe", "--bind-to",
                                   "none"};
  if (geteuid() == 0) command.push_back("--allow-run-as-root");
  if (!hostfile.empty()) command.insert(command.end(), {"--hostfile", hostfile});
  command.insert(command.end(), {"-n", std::to_string(ranks),
                                 std::filesystem::read_symlink("/proc/self/exe").string()});
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

int run_under_mpirun(int ranks) { return run_under_mpirun(ranks, own_arguments()); }

int run_under_mpirun(int ranks, const std::vector<std::string>& arguments) {
  try {
    World::require_company(1);
  } catch (const std::invalid_argument& alone) {
    throw InputError(alone.what());
  }
  const std::vector<std::string> command = mpirun_command(ranks, arguments);
  // One signal is passed on: a second one would make mpirun leave at once, and files of its ranks
  // behind.
  keep_interrupts(SecondInterrupt::kIgnored);
  OutputRelay relay;
  ProcessGroup mpirun(command, relay.input());
  relay.start();
  while (!relay.failed() && !(mpirun.poll() && relay.done())) {
    if (was_interrupted()) {
      mpirun.terminate(std::chrono::seconds(5));
      relay.wait(std::chrono::milliseconds(400));
      end_as_interrupted();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const int status =
      mpirun.terminate(std::chrono::seconds(5));  // which has ended, but for a failure
  if (relay.failed()) throw InputError("standard output takes no more");
  if (was_interrupted() && status != 0) end_as_interrupted();
  if (!WIFEXITED(status)) {
    throw InputError("mpirun " + describe_status(status), ErrorCode::kUnavailable);
  }
  const int code = WEXITSTATUS(status);
  return code >= 128 ? kExitGroupLost : code;  // 128 and more: a rank ended by a signal
}

int run_in_world(const char* verb, const std::function<int(World&)>& body) {
  // A rank does not outlive the mpirun that started it, however that ends.
  if (World::launched_by_mpi()) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    end_silently_when_interrupted();
  }
  const auto tell = [&](const char* what) { say("octet {}: error: {}\n", verb, what); };
  std::optional<World> joined;
  try {
    joined.emplace(nullptr, nullptr);
  } catch (const std::invalid_argument& alone) {
    tell(alone.what());
    return kExitUsage;
  }
  World& world = *joined;
  try {
    return body(world);
  } catch (const InputError& error) {
    if (world.rank() == 0) tell(error.what());
    return exit_code_of(error);
  } catch (const std::invalid_argument& error) {
    if (world.rank() == 0) tell(error.what());
    return kExitUsage;
  } catch (const RankLost& error) {
    tell(error.what());
    world.abort(kExitGroupLost);
  } catch (const std::exception& error) {
    tell(error.what());
    world.abort(std::ferror(stdout) != 0 ? kExitUsage : kExitBug);
  }
}

}  // namespace octet
