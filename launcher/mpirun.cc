#include "launcher/mpirun.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "kernels/say.h"
#include "launcher/exit_codes.h"
#include "launcher/process_group.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

std::atomic<int> caught_signal = 0;

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
  // The terminal's signals reach mpirun by themselves; what is sent to this process is passed on.
  ProcessGroup mpirun(command, ProcessGroup::Terminal::kShared);
  struct sigaction action {};
  action.sa_handler = [](int signal) { caught_signal = signal; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  while (!mpirun.poll()) {
    if (caught_signal != 0) {
      // A second signal would make it leave at once, and files of its ranks behind.
      if (!mpirun.wait(std::chrono::milliseconds(400))) mpirun.terminate(std::chrono::seconds(5));
      return kExitInterrupted;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const int status = *mpirun.poll();
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return code >= 128 ? kExitGroupLost : code;  // 128 and more: a rank ended by a signal
}

int run_in_world(const char* verb, const std::function<int(World&)>& body) {
  // A rank does not outlive the mpirun that started it, however that ends.
  if (World::launched_by_mpi()) prctl(PR_SET_PDEATHSIG, SIGKILL);
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
