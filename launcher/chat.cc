// octet chat: one question, or a conversation on the terminal.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "launcher/client_flags.h"
#include "launcher/verbs.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

struct ChatFlags : ClientFlags {
  std::string system;
  std::optional<std::string> message;
};

void ask(Client& client, ChatFlags& flags, std::vector<ChatMessage>& history,
         const std::string& question) {
  if (question.empty()) throw InputError("the question is empty");
  history.push_back({"user", question});
  flags.call.input = history;
  history.push_back({"assistant", stream_answer(client, flags)});
}

int run(ChatFlags& flags) {
  Client client(flags.server);
  std::vector<ChatMessage> history;
  if (!flags.system.empty()) history.push_back({"system", flags.system});
  if (flags.message) {
    ask(client, flags, history, *flags.message);
    return 0;
  }
  if (!isatty(STDIN_FILENO)) {
    ask(client, flags, history, {std::istreambuf_iterator<char>(std::cin), {}});
    return 0;
  }
  std::string line;
  while (std::fputs("> ", stdout), std::fflush(stdout), std::getline(std::cin, line)) {
    if (!line.empty()) ask(client, flags, history, line);
  }
  std::fputc('\n', stdout);
  return 0;
}

}  // namespace

Verb add_chat(CLI::App& octet) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = octet.add_subcommand(
      "chat", "Talk to a served model: one MESSAGE, standard input, or a conversation");
  command->add_option("MESSAGE", flags->message, "The question; none: read from standard input");
  command->add_option("--system", flags->system, "The system message");
  add_client_flags(*command, *flags);
  return {command, [flags] { return run(*flags); }};
}

}  // namespace octet
