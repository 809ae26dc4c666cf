#include "launcher/client_flags.h"

#include <chrono>
#include <cstdio>

#include "kernels/say.h"
#include "launcher/flag_checks.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void add_client_flags(CLI::App& command, ClientFlags& flags) {
  GenerateCall& call = flags.call;
  command.add_option("--server,--address", flags.server, "HOST:PORT of octet serve")
      ->capture_default_str();
  command.add_option("--model", call.model, "Needed where the server has several");
  command.add_option("--max-tokens", call.max_tokens, "0: as many as fit")
      ->check(whole_number(UINT32_MAX))
      ->capture_default_str();
  command.add_option("--temperature", call.temperature, "0: greedy (1)")->check(non_negative());
  command.add_option("--top-p", call.top_p, "Mass of the nucleus (1)")->check(between(1e-6, 1.0));
  command.add_option("--top-k", call.top_k, "0: all")->check(whole_number(UINT32_MAX));
  command.add_option("--seed", call.seed, "Of the draws; drawn by the server when absent")
      ->check(whole_number());
  command.add_option("--stop", call.stop, "The answer ends before any of these texts");
  command.add_flag("--ignore-eos", call.ignore_eos, "Go on after end-of-sequence");
  command
      .add_option_function<double>(
          "--timeout",
          [&call](double seconds) {
            call.timeout = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
          },
          "Seconds after which the answer is given up")
      ->check(between(0.001, 1e6));
  command.add_flag("--stats", flags.stats, "Print time to first token and tokens/s");
}

std::string stream_answer(Client& client, const ClientFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  double first = 0;
  bool writable = true;
  std::string text;
  GenerateResult result;
  try {
    result = client.generate(flags.call, [&](const GenerateDelta& delta) {
      if (first == 0) first = seconds_since(start);
      text += delta.text;
      std::fwrite(delta.text.data(), 1, delta.text.size(), stdout);
      writable = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
      return writable;
    });
  } catch (const InputError&) {
    if (!text.empty()) std::puts("");  // the error gets a line of its own
    throw;
  }
  if (!writable) throw InputError("standard output takes no more");
  const double total = seconds_since(start);
  std::fputc('\n', stdout);
  std::fflush(stdout);
  if (flags.stats) {
    const double decode =
        result.completion_tokens > 1 ? (result.completion_tokens - 1) / (total - first) : 0;
    say("{} prompt + {} completion tokens ({}); first token after {:.3f} s, then {:.1f} tokens/s\n",
        result.prompt_tokens, result.completion_tokens, finish_reason_name(result.finish), first,
        decode);
  }
  return text;
}

}  // namespace octet
