// What `octet chat` and `octet complete` share: flags, one call, and its figures.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "runtime/coordinator/client.h"

namespace octet {

struct ClientFlags {
  std::string server = "127.0.0.1:50051";
  GenerateCall call;
  bool stats = false;
};

void add_client_flags(CLI::App& command, ClientFlags& flags);

// Streams the answer to stdout; a process that ends meanwhile cancels it. With flags.stats the time
// to the first token and tokens/s go to stderr. Returns the answer's text.
std::string stream_answer(Client& client, const ClientFlags& flags);

}  // namespace octet
