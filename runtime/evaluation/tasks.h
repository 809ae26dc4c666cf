// In-context-learning tasks: a model's choice among continuations, by log-likelihood, as Brown et
// al. 2020, section 2.4, and lm-evaluation-harness define it.
//
// A task is a file of JSON lines: {"context", "continuation"} (is the continuation what greedy
// would say?) or {"query", "choices", "gold"} (which choice is likeliest? gold counts from 0). One
// space before a continuation or a choice is the delimiter's, and changes nothing.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/evaluation/scoring.h"
#include "runtime/tokenizer/tokenizer.h"

namespace octet {

struct TaskExample {
  std::string query;
  std::vector<std::string> choices;  // one: a greedy task
  int gold = 0;
};

struct Task {
  std::string name;
  std::string delimiter = " ";  // between query and choice: " ", "\nAnswer: "
  std::vector<TaskExample> examples;
};

// The delimiter is the known one of `name` (piqa and arc ask for an answer). Throws InputError
// naming file, line and field.
Task read_task(const std::filesystem::path& file, const std::string& name);

struct TaskOptions {
  int shots = 0;  // the first so many examples are shown before each of the others
  int limit = 0;  // examples asked; 0: all
};

struct TaskResult {
  std::string name;
  int examples = 0;
  double acc = 0, acc_stderr = 0;  // share whose gold choice has the highest log-likelihood
  double acc_norm = 0, acc_norm_stderr = 0;  // the same per character of the choice
  double perplexity = 0;  // of the gold continuations of a greedy task, per example
  bool greedy = false;
};

// Throws InputError: fewer examples than shots; a choice that does not fit the model. Tokens that
// do not fit are cut from the left of the context.
TaskResult run_task(Engine& engine, const Tokenizer& tokenizer, const Task& task,
                    const TaskOptions& options, const ScoringProgress& progress);

}  // namespace octet
