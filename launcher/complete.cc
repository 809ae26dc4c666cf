// octet complete: continues a text on a server.
#include <memory>

#include "launcher/client_flags.h"
#include "launcher/verbs.h"

namespace octet {

Verb add_complete(CLI::App& octet) {
  struct Flags : ClientFlags {
    std::string prompt;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = octet.add_subcommand("complete", "Continue a text on a server, streaming");
  command->add_option("PROMPT", flags->prompt, "The text")->required();
  add_client_flags(*command, *flags);
  return {command, [flags] {
            Client client(flags->server);
            flags->call.input = flags->prompt;
            stream_answer(client, *flags);
            return 0;
          }};
}

}  // namespace octet
