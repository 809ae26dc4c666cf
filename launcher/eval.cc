// octet eval: perplexity and in-context-learning tasks, offline, on any number of ranks.
#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launcher/engine_flags.h"
#include "launcher/engine_group.h"
#include "launcher/flag_checks.h"
#include "launcher/mpirun.h"
#include "launcher/progress.h"
#include "launcher/verbs.h"
#include "runtime/engine/engine.h"
#include "runtime/evaluation/perplexity.h"
#include "runtime/evaluation/tasks.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr const char* kTaskLines =
    "A task is a file of JSON lines: {\"query\", \"choices\": [...], \"gold\": the right one's "
    "number "
    "from 0}: is it the likeliest? or {\"context\", \"continuation\"}: would greedy say it? A "
    "space "
    "stands between the two (piqa, arc_*: \"\\nAnswer: \"), whether the file has it or not.";

struct EvalFlags {
  EngineOptions engine;
  int tensor_parallel_size = 1;
  std::string out;  // JSON
  // perplexity
  std::string text;
  PerplexityOptions perplexity;
  // tasks
  std::vector<std::string> tasks;
  std::string folder;
  TaskOptions task;
};

std::string read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  const int error = in ? 0 : errno;
  const bool folder = std::filesystem::is_directory(file);
  if (!in || folder) {
    throw InputError(fmt::format("{}: {}", file, std::strerror(folder ? EISDIR : error)),
                     ErrorCode::kNotFound);
  }
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_json(const EvalFlags& flags, json result) {
  if (flags.out.empty()) return;
  result["model"] = flags.engine.model.string();
  result["quantization"] = flags.engine.quantization;
  result["tensor_parallel_size"] = flags.tensor_parallel_size;
  std::ofstream out(flags.out);
  if (!(out << result.dump(2) << "\n" << std::flush)) {
    throw InputError(fmt::format("{}: cannot be written", flags.out));
  }
}

int run_group(const EvalFlags& flags, const std::function<void(Engine&)>& work) {
  return run_engine_group("eval", flags.engine, flags.tensor_parallel_size, work);
}

Perplexity perplexity_of_file(Engine& engine, const Tokenizer& tokenizer, const EvalFlags& flags,
                              const ScoringProgress& progress) {
  const std::string text = read_text(flags.text);
  try {
    return measure_perplexity(engine, tokenizer, text, flags.perplexity, progress);
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", flags.text, error.what()));
  }
}

int run_perplexity(const EvalFlags& flags) {
  if (!World::launched_by_mpi()) {
    read_text(flags.text);
    require_tokenizer(flags.engine, "give a folder that has one");
    require_writable(flags.out);
    if (needs_mpirun(flags.engine, flags.tensor_parallel_size)) {
      return run_under_mpirun(flags.tensor_parallel_size);
    }
  }
  return run_group(flags, [&](Engine& engine) {
    const auto tokenizer = load_tokenizer(flags.engine.model);
    Progress progress("eval", "tokens", 1);
    const Perplexity result = perplexity_of_file(
        engine, *tokenizer, flags,
        [&](uint64_t done, uint64_t total) { progress.update("perplexity", done, total); });
    fmt::print("tokens {}  nll {:.6f}  perplexity {:.4f}  bits/byte {:.4f}\n", result.tokens,
               result.nll, result.perplexity, result.bits_per_byte);
    write_json(flags, {{"text", flags.text},
                       {"tokens", result.tokens},
                       {"bytes", result.bytes},
                       {"nll", result.nll},
                       {"perplexity", result.perplexity},
                       {"bits_per_byte", result.bits_per_byte}});
  });
}

// FILE.jsonl, or FOLDER/NAME.jsonl.
std::filesystem::path task_file(const EvalFlags& flags, const std::string& name) {
  const std::filesystem::path file(name);
  if (file.extension() == ".jsonl") return file;
  auto in_folder = std::filesystem::path(flags.folder) / (name + ".jsonl");
  if (!std::filesystem::exists(in_folder)) {
    throw InputError(fmt::format("{}: no such file; --task-folder names its folder",
                                 std::filesystem::absolute(in_folder).string()),
                     ErrorCode::kNotFound);
  }
  return in_folder;
}

std::vector<Task> read_tasks(const EvalFlags& flags) {
  std::vector<Task> tasks;
  for (const std::string& name : flags.tasks) {
    const std::filesystem::path file = task_file(flags, name);
    tasks.push_back(read_task(file, file.stem().string()));
    if (static_cast<size_t>(flags.task.shots) >= tasks.back().examples.size()) {
      throw InputError(fmt::format("{}: {} examples are too few for --shots {}", name,
                                   tasks.back().examples.size(), flags.task.shots));
    }
  }
  return tasks;
}

json to_json(const TaskResult& result, int shots) {
  json entry{{"shots", shots},
             {"examples", result.examples},
             {"acc", result.acc},
             {"acc_stderr", result.acc_stderr}};
  if (result.greedy) {
    entry["perplexity"] = result.perplexity;
  } else {
    entry["acc_norm"] = result.acc_norm;
    entry["acc_norm_stderr"] = result.acc_norm_stderr;
  }
  return entry;
}

void print_row(const TaskResult& result, int shots) {
  const auto pair = [](double value, double error) {
    return fmt::format("{:.4f} +- {:.4f}", value, error);
  };
  fmt::print("{:<20} {:>5} {:>8}  {:>18}  {:>18}  {:>10}\n", result.name, shots, result.examples,
             pair(result.acc, result.acc_stderr),
             result.greedy ? "" : pair(result.acc_norm, result.acc_norm_stderr),
             result.greedy ? fmt::format("{:.3f}", result.perplexity) : "");
  std::fflush(stdout);
}

int run_tasks(const EvalFlags& flags) {
  if (!World::launched_by_mpi()) {
    read_tasks(flags);
    require_tokenizer(flags.engine, "give a folder that has one");
    require_writable(flags.out);
    if (needs_mpirun(flags.engine, flags.tensor_parallel_size)) {
      return run_under_mpirun(flags.tensor_parallel_size);
    }
  }
  return run_group(flags, [&](Engine& engine) {
    const auto tokenizer = load_tokenizer(flags.engine.model);
    fmt::print("{:<20} {:>5} {:>8}  {:>18}  {:>18}  {:>10}\n", "task", "shots", "examples", "acc",
               "acc_norm", "perplexity");
    std::fflush(stdout);
    json results = json::object();
    for (const Task& task : read_tasks(flags)) {
      TaskResult result;
      {
        Progress progress("eval", "tokens", 1);
        result = run_task(engine, *tokenizer, task, flags.task, [&](uint64_t done, uint64_t total) {
          progress.update(task.name, done, total);
        });
      }
      print_row(result, flags.task.shots);
      results[task.name] = to_json(result, flags.task.shots);
    }
    write_json(flags, {{"tasks", results}});
  });
}

void add_common(CLI::App& command, EvalFlags& flags) {
  command
      .add_option("MODEL", flags.engine.model, "Artefact folder, Hugging Face folder or GGUF file")
      ->required();
  command.add_option("--out", flags.out, "A file for the results, as JSON");
  add_engine_flags(command, flags.engine, flags.tensor_parallel_size);
}

}  // namespace

Verb add_eval(CLI::App& octet) {
  auto flags = std::make_shared<EvalFlags>();
  flags->engine.enable_prefix_caching = true;  // shots, and a question's choices
  CLI::App* command = octet.add_subcommand("eval", "Measure a model: perplexity, or tasks");
  command->require_subcommand(1);
  CLI::App* perplexity = command->add_subcommand("perplexity", "Perplexity of a text");
  add_common(*perplexity, *flags);
  perplexity->add_option("--text", flags->text, "A file of UTF-8")->required();
  perplexity
      ->add_option("--context", flags->perplexity.context, "Tokens of a window; 0: max-model-len")
      ->check(whole_number(INT32_MAX));
  perplexity
      ->add_option("--stride", flags->perplexity.stride,
                   "Tokens from window to window; 0: the context")
      ->check(whole_number(INT32_MAX));
  perplexity->add_option("--max-tokens", flags->perplexity.max_tokens, "Of the text; 0: all")
      ->check(whole_number(INT64_MAX));
  CLI::App* tasks =
      command->add_subcommand("tasks", "In-context-learning tasks, by log-likelihood");
  tasks->footer(kTaskLines);
  add_common(*tasks, *flags);
  tasks->add_option("--tasks", flags->tasks, "NAME,... (FOLDER/NAME.jsonl), or FILE.jsonl,...")
      ->delimiter(',')
      ->check(not_empty())
      ->required();
  tasks->add_option("--task-folder", flags->folder, "Where NAME.jsonl are")->capture_default_str();
  tasks->add_option("--shots", flags->task.shots, "Examples shown before each; the file's first")
      ->check(CLI::Range(0, 100));
  tasks->add_option("--limit", flags->task.limit, "Examples asked; 0: all")
      ->check(whole_number(INT32_MAX));
  return {command, [flags, perplexity] {
            return perplexity->parsed() ? run_perplexity(*flags) : run_tasks(*flags);
          }};
}

}  // namespace octet
