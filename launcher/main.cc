// The octet command: finds the verb, turns errors into one line and an exit code.
#include <fcntl.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "kernels/say.h"
#include "launcher/exit_codes.h"
#include "launcher/interrupts.h"
#include "launcher/verbs.h"
#include "runtime/coordinator/version.h"
#include "runtime/request/error.h"

namespace {

constexpr const char* kFooter = R"(
Exit codes: 0 all well; 1 a bug; 2 a wrong flag, file or request; 3 the worker group was lost;
4 no server there, or no address to listen on; 5 not now: the queue or the disk is full, or the deadline
passed; 6 verify found a difference; 130 interrupted.

octet quantize MODEL OUT && octet serve OUT --tensor-parallel-size 2 &   then   octet chat "Hello"
)";

// No file that is opened later stands where a stream that came closed should: a line would go into
// it. Nothing can be written to what takes its place.
void fill_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) < 0) open("/dev/null", O_RDONLY);
  }
}

// An answer that standard output did not take is not one that was given.
bool written() { return std::fflush(stdout) == 0 && std::ferror(stdout) == 0; }
constexpr const char* kNotWritten = "standard output takes no more";

int run(int argc, char** argv) {
  CLI::App app{"Octet: int8 tensor-parallel inference for large language models", "octet"};
  app.footer(kFooter);
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", std::string("octet ") + octet::octet_version());
  const std::array verbs{octet::add_quantize(app), octet::add_inspect(app),  octet::add_eval(app),
                         octet::add_generate(app), octet::add_serve(app),    octet::add_worker(app),
                         octet::add_chat(app),     octet::add_complete(app), octet::add_verify(app),
                         octet::add_bench(app),    octet::add_scale(app),    octet::add_plan(app),
                         octet::add_profile(app),  octet::add_version(app)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    const int code = app.exit(help);
    if (written()) return code;
    octet::say("octet: error: {}\n", kNotWritten);
    return octet::kExitUsage;
  } catch (const CLI::ParseError& error) {
    std::string verb;
    for (const octet::Verb& v : verbs) {
      if (v.command->parsed()) verb = " " + v.command->get_name();
    }
    octet::say("octet{}: error: {} (octet{} --help tells more)\n", verb, error.what(), verb);
    return octet::kExitUsage;
  }
  for (const octet::Verb& verb : verbs) {
    if (!verb.command->parsed()) continue;
    const std::string name = verb.command->get_name();
    try {
      const int code = verb.run();
      if (code == 0 && !written()) throw octet::InputError(kNotWritten);
      return code;
    } catch (const octet::InputError& error) {
      octet::say("octet {}: error: {}\n", name, error.what());
      return octet::exit_code_of(error);
    } catch (const std::exception& error) {
      octet::say("octet {}: error: {}\n", name, error.what());
      return std::ferror(stdout) != 0 ? octet::kExitUsage : octet::kExitBug;
    }
  }
  octet::say("octet: error: a verb is needed (octet --help tells more)\n");
  return octet::kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
  fill_closed_streams();
  octet::end_when_interrupted();
  signal(SIGPIPE, SIG_IGN);             // a closed pipe is a write that failed
  setenv("GRPC_VERBOSITY", "NONE", 0);  // errors are told once, in our own words
  spdlog::set_default_logger(spdlog::stderr_color_mt("octet"));  // stdout is for answers
  return run(argc, argv);
}
