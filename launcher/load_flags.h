// The flags that say which load is put on a service, the same on `octet bench serve` and `octet
// scale`, under vLLM's names where it has them; and what they amount to.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "launcher/progress.h"
#include "runtime/bench/session.h"

namespace octet {

struct LoadFlags {
  std::string dataset = "random", dataset_path;
  size_t num_prompts = 100, num_warmups = 1;
  std::string input_len = "128", output_len = "64";
  double range_ratio = 0;
  int prefix_len = 0;
  double trace_speed = 1, trace_length_scale = 1;
  bool skip_malformed = false;
  std::string burstiness = "1";
  double max_seconds = 0;
  uint64_t seed = 0;
  std::vector<std::string> goodput, slo;
};

void add_load_flags(CLI::App& command, LoadFlags& flags);

// A rate: a number above 0, or "inf": all at once. Throws InputError naming `name`.
double parse_rate(const std::string& text, const std::string& name);

struct LoadPlan {
  std::vector<PlannedRequest> requests, warmups;
};
// Reads the trace, draws the lengths. vocab_size 0: prompts are text. What does not fit a model of
// max_model_len tokens is left out, with a line on stderr; so are malformed rows, where they are
// skipped. Throws InputError.
LoadPlan plan_requests(const LoadFlags& flags, const TargetInfo& target);

// Without a rate and a concurrency, which the verbs add.
LoadOptions load_options(const LoadFlags& flags);

// A Progress that starts anew with each label.
class LoadProgress {
 public:
  explicit LoadProgress(const std::string& verb) : verb_(verb) {}

  void update(const std::string& label, size_t done, size_t total);
  void clear() { progress_.reset(); }  // before a line of another kind

 private:
  const std::string verb_;
  std::string label_;
  std::optional<Progress> progress_;
};

}  // namespace octet
