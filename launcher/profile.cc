// octet profile: measures this machine and writes a hardware profile for octet plan. Each number of
// ranks is a group of its own, started under mpirun, which writes its part to a file.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "comm/communicator_factory.h"
#include "launcher/engine_flags.h"
#include "launcher/exit_codes.h"
#include "launcher/flag_checks.h"
#include "launcher/mpirun.h"
#include "launcher/progress.h"
#include "launcher/verbs.h"
#include "runtime/capacity/measurement.h"
#include "runtime/formats/file.h"
#include "runtime/formats/json_text.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

struct ProfileFlags {
  EngineOptions engine;
  std::vector<int> tensor_parallel_sizes{1, 2};
  std::string name = "local", out = "local.json";
  bool part = false;  // of a profile: this process is a rank of the one size given
};

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "an unnamed CPU";
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

int measure_part(const ProfileFlags& flags) {
  return run_in_world("profile", [&](World& world) {
    const EngineOptions options = place_rank(flags.engine, world);
    const auto communicator =
        world.make_communicator(measurement_comm_options(options, world.size()));
    Progress progress(fmt::format("{} rank(s)", world.size()), "%", 10);
    const Measurement measurement{
        .options = options,
        .communicator = *communicator,
        .source = fmt::format("octet profile, {}, {} rank(s) of {} thread(s), {}", cpu_model(),
                              world.size(), options.threads, today()),
        .progress = [&](const std::string& label, double share) {
          if (world.rank() == 0) progress.update(label, static_cast<uint64_t>(share * 1000), 1000);
        }};
    HardwareProfile profile = measure_machine(measurement);
    if (world.rank() != 0) return 0;
    profile.name = flags.name;
    profile.description =
        fmt::format("{}, {} threads", cpu_model(), std::thread::hardware_concurrency());
    write_text_file(flags.out, to_json(profile).dump(1) + "\n");
    return 0;
  });
}

int run(const ProfileFlags& flags, const std::vector<std::string>& engine_arguments) {
  if (flags.part || World::launched_by_mpi()) return measure_part(flags);
  require_writable(flags.out);
  const auto start = std::chrono::steady_clock::now();
  HardwareProfile all;
  for (const int ranks : flags.tensor_parallel_sizes) {
    const std::filesystem::path part = fmt::format("{}.{}.part", flags.out, ranks);
    std::vector<std::string> arguments{"profile",     "--part", "--out",
                                       part.string(), "--name", flags.name};
    arguments.insert(arguments.end(), engine_arguments.begin(), engine_arguments.end());
    const int code = run_under_mpirun(ranks, arguments);
    if (code == kExitGroupLost) {
      throw InputError(fmt::format("measuring {} rank(s): one was lost", ranks),
                       ErrorCode::kUnavailable);
    }
    if (code != kExitOk) return code;  // the ranks have said why
    HardwareProfile measured = parse_profile(read_json_file(part), part.string());
    std::filesystem::remove(part);
    measured.tables.insert(measured.tables.begin(), all.tables.begin(), all.tables.end());
    measured.ranks_per_node = std::max(all.ranks_per_node, ranks);
    all = std::move(measured);
  }
  all.facts["memory_bytes"].value /= all.ranks_per_node;
  write_text_file(flags.out, to_json(all).dump(1) + "\n");
  fmt::print("{}: {} tables in {:.0f} s\n", flags.out, all.tables.size(),
             std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return 0;
}

}  // namespace

Verb add_profile(CLI::App& octet) {
  auto flags = std::make_shared<ProfileFlags>();
  CLI::App* command = octet.add_subcommand(
      "profile", "Measure this machine for octet plan: products, attention, reduces, steps");
  command
      ->add_option("--tensor-parallel-size,--tp", flags->tensor_parallel_sizes,
                   "Ranks that measure together; several by commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--out", flags->out, "File to write")->capture_default_str();
  command->add_option("--name", flags->name, "The profile's")->capture_default_str();
  CLI::Option* device =
      command->add_option("--device", flags->engine.device, "auto, cpu")->capture_default_str();
  CLI::Option* isa = command->add_option("--isa", flags->engine.isa, "Instruction set");
  CLI::Option* threads =
      command->add_option("--threads", flags->engine.threads, "Of a rank; 0: cores / ranks")
          ->check(CLI::Range(0, 1024));
  CLI::Option* communicator =
      command->add_option("--communicator", flags->engine.communicator, "How the ranks meet")
          ->check(CLI::IsMember({"auto", "local", "shm", "mpi"}));
  command->add_flag("--part", flags->part)->group("");
  return {command, [=] {
            std::vector<std::string> arguments;
            for (const CLI::Option* option : {device, isa, threads, communicator}) {
              if (option->count() > 0) {
                arguments.push_back(option->get_name() + "=" + option->as<std::string>());
              }
            }
            return run(*flags, arguments);
          }};
}

}  // namespace octet
