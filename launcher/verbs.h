// The verbs of the `octet` command, one file each (launcher/<verb>.cc). A verb declares its flags
// on a subcommand of its own; run() is called when that subcommand was chosen and returns the exit
// code. An InputError that leaves run() is printed as one line by main.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace octet {

struct Verb {
  CLI::App* command = nullptr;
  std::function<int()> run;
};

Verb add_quantize(CLI::App& octet);
Verb add_inspect(CLI::App& octet);
Verb add_eval(CLI::App& octet);
Verb add_generate(CLI::App& octet);
Verb add_bench(CLI::App& octet);
Verb add_scale(CLI::App& octet);
Verb add_serve(CLI::App& octet);
Verb add_worker(CLI::App& octet);
Verb add_chat(CLI::App& octet);
Verb add_complete(CLI::App& octet);
Verb add_verify(CLI::App& octet);
Verb add_plan(CLI::App& octet);
Verb add_profile(CLI::App& octet);
Verb add_version(CLI::App& octet);

}  // namespace octet
