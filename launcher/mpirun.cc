#include "launcher/mpirun.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "launcher/exit_codes.h"
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

void become_mpirun(int ranks) {
  const std::vector<std::string> command = mpirun_command(ranks, own_arguments());
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  throw InputError(fmt::format("{}: {}", command[0], std::strerror(errno)));
}

int run_in_world(const char* verb, const std::function<int(World&)>& body) {
  // A rank does not outlive the mpirun that started it, however that ends.
  if (World::launched_by_mpi()) prctl(PR_SET_PDEATHSIG, SIGKILL);
  World world(nullptr, nullptr);
  const auto say = [&](const char* what) {
    fmt::print(stderr, "octet {}: error: {}\n", verb, what);
  };
  try {
    return body(world);
  } catch (const InputError& error) {
    if (world.rank() == 0) say(error.what());
    return error.code() == ErrorCode::kUnavailable ? kExitUnavailable : kExitUsage;
  } catch (const RankLost& error) {
    say(error.what());
    world.abort(kExitGroupLost);
  } catch (const std::exception& error) {
    say(error.what());
    world.abort(kExitBug);
  }
}

}  // namespace octet
