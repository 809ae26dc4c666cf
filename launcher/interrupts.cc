#include "launcher/interrupts.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <string_view>

#include "launcher/exit_codes.h"

namespace octet {
namespace {

constexpr int kInterrupts[] = {SIGINT, SIGTERM};

std::atomic<bool> interrupted = false;

using Handler = void (*)(int);

Handler handler_of(int signal) {
  struct sigaction now {};
  sigaction(signal, nullptr, &now);
  return now.sa_handler;
}

void handle(int signal, Handler handler) {
  if (handler_of(signal) == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = handler;
  sigaction(signal, &action, nullptr);
}

void end_process(int) { end_as_interrupted(); }

}  // namespace

// A signal handler calls it. What is on the line already may be a part of an answer.
void end_as_interrupted() {
  constexpr std::string_view kLine = "\noctet: error: interrupted\n";
  pollfd errors{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (poll(&errors, 1, 0) > 0) {
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kLine.data(), kLine.size());
  }
  _exit(kExitInterrupted);
}

void end_when_interrupted() {
  for (const int signal : kInterrupts) handle(signal, end_process);
}

void end_silently_when_interrupted() {
  for (const int signal : kInterrupts) {
    if (handler_of(signal) == end_process) handle(signal, SIG_DFL);
  }
}

void keep_interrupts(SecondInterrupt second) {
  const Handler keep = [](int) { interrupted = true; };
  const Handler keep_first = [](int) {
    if (interrupted.exchange(true)) end_as_interrupted();
  };
  for (const int signal : kInterrupts) {
    handle(signal, second == SecondInterrupt::kIgnored ? keep : keep_first);
  }
}

bool was_interrupted() { return interrupted; }

const std::atomic<bool>& interrupt_flag() { return interrupted; }

}  // namespace octet
