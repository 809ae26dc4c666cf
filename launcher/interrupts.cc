#include "launcher/interrupts.h"

#include <signal.h>
#include <unistd.h>

#include <string_view>

#include "launcher/exit_codes.h"

namespace octet {
namespace {

std::atomic<bool> interrupted = false;

// A signal handler. What is on the line already may be a part of an answer.
void end_process(int) {
  constexpr std::string_view kLine = "\noctet: error: interrupted\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kLine.data(), kLine.size());
  _exit(kExitInterrupted);
}

void handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  for (const int signal : {SIGINT, SIGTERM}) sigaction(signal, &action, nullptr);
}

}  // namespace

void end_when_interrupted() { handle(end_process); }

void keep_interrupts(SecondInterrupt second) {
  if (second == SecondInterrupt::kIgnored) return handle([](int) { interrupted = true; });
  handle([](int signal) {
    if (interrupted.exchange(true)) end_process(signal);
  });
}

bool was_interrupted() { return interrupted; }

const std::atomic<bool>& interrupt_flag() { return interrupted; }

}  // namespace octet
