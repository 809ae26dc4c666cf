// octet generate: offline generation and scoring, no server. With more than one rank it runs itself
// again under mpirun.
#include <fmt/format.h>
#include <xxhash.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "kernels/say.h"
#include "launcher/engine_flags.h"
#include "launcher/engine_group.h"
#include "launcher/flag_checks.h"
#include "launcher/mpirun.h"
#include "launcher/verbs.h"
#include "runtime/engine/engine.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/tokenizer.h"

namespace octet {
namespace {

struct GenerateFlags {
  EngineOptions engine;
  int tensor_parallel_size = 1;
  std::vector<std::string> prompts;
  std::string prompt_file, ids_file;
  SamplingParams sampling{.max_tokens = 64, .temperature = 0.0f};
  bool json = false, digest = false, score = false, stats = false;
};

struct Answer {
  std::vector<int32_t> ids;
  std::vector<float> logprobs, prompt_logprobs;
  FinishReason finish = FinishReason::kNone;
  std::string error;
};

// A line of a file, or an argument. `where` is for errors: the file and the line's number.
struct Line {
  std::string text, where;
};

std::vector<Line> read_lines(const std::string& file) {
  std::ifstream in(file);
  if (!in || std::filesystem::is_directory(file))
    throw InputError(fmt::format("{}: cannot be read", file), ErrorCode::kNotFound);
  std::vector<Line> lines;
  for (std::string text; std::getline(in, text);) {
    lines.push_back({text, fmt::format("{}:{}", file, lines.size() + 1)});
  }
  return lines;
}

std::vector<int32_t> parse_ids(const Line& line) {
  const nlohmann::json array = nlohmann::json::parse(line.text, nullptr, false);
  if (!array.is_array()) {
    throw InputError(fmt::format("{}: not a JSON array of token ids", line.where));
  }
  std::vector<int32_t> ids;
  for (const nlohmann::json& id : array) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX) {
      throw InputError(fmt::format("{}: {} is not a token id", line.where,
                                   id.is_number() ? id.dump() : id.type_name()));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

struct Prompts {
  std::unique_ptr<Tokenizer> tokenizer;  // nullptr: all prompts are ids
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::string> where;  // of each, for errors: an argument, or a line of a file
};

Prompts load_prompts(const GenerateFlags& flags) {
  Prompts prompts;
  if (flags.ids_file.empty() || !flags.prompts.empty() || !flags.prompt_file.empty()) {
    require_tokenizer(flags.engine, "give --prompt-ids-file in place of texts");
    prompts.tokenizer = load_tokenizer(flags.engine.model);
  }
  const auto add = [&](const Line& line, const auto& ids_of) {
    prompts.ids.push_back(ids_of(line));
    prompts.where.push_back(line.where);
    if (prompts.ids.back().empty()) throw InputError(fmt::format("{}: has no tokens", line.where));
  };
  const auto add_file = [&](const std::string& file, const auto& ids_of) {
    if (file.empty()) return;
    const std::vector<Line> lines = read_lines(file);
    if (lines.empty()) throw InputError(fmt::format("{}: has no prompts", file));
    for (const Line& line : lines) add(line, ids_of);
  };
  const auto encode = [&](const Line& line) {
    try {
      return prompts.tokenizer->encode(line.text, true, true);
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", line.where, error.what()));
    }
  };
  for (const std::string& text : flags.prompts) {
    add({text, fmt::format("prompt {}", prompts.ids.size())}, encode);
  }
  add_file(flags.prompt_file, encode);
  add_file(flags.ids_file, parse_ids);
  if (prompts.ids.empty()) {
    throw InputError("no prompt: give PROMPT, --prompt-file or --prompt-ids-file");
  }
  if (flags.score && std::ranges::all_of(prompts.ids, [](auto& ids) { return ids.size() == 1; })) {
    throw InputError("--score: every prompt is one token, and the first has no log-probability");
  }
  return prompts;
}

// Text goes to the terminal while it is made when there is one prompt to continue, else answer by
// answer.
class Printer {
 public:
  Printer(const GenerateFlags& flags, const Tokenizer* tokenizer, size_t prompts)
      : flags_(flags), tokenizer_(tokenizer) {
    if (prompts == 1 && !flags.json && !flags.score && tokenizer) stream_.emplace(*tokenizer);
  }

  void token(int32_t id) {
    if (stream_) put(stream_->push(id));
  }

  void answer(size_t index, const Answer& answer) {
    if (stream_) {
      put(stream_->finish() + "\n");
    } else if (flags_.json) {
      nlohmann::json line{{"index", index},
                          {"token_ids", answer.ids},
                          {"logprobs", answer.logprobs},
                          {"finish_reason", finish_reason_name(answer.finish)}};
      if (tokenizer_) line["text"] = tokenizer_->decode(answer.ids);
      if (flags_.score) line["prompt_logprobs"] = answer.prompt_logprobs;
      put(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    } else if (!flags_.score) {
      put(fmt::format(
          "[{}] {}\n", index,
          tokenizer_ ? tokenizer_->decode(answer.ids) : nlohmann::json(answer.ids).dump()));
    }
  }

 private:
  static void put(const std::string& text) {
    if (!(std::cout << text << std::flush)) throw InputError("standard output takes no more");
  }

  const GenerateFlags& flags_;
  const Tokenizer* tokenizer_;
  std::optional<StreamDecoder> stream_;
};

// One number over all ids and log-probability bits, in the prompts' order: equal if and only if all
// tokens are.
uint64_t digest(const std::vector<Answer>& answers) {
  std::unique_ptr<XXH64_state_t, decltype(&XXH64_freeState)> state(XXH64_createState(),
                                                                   XXH64_freeState);
  XXH64_reset(state.get(), 0);
  for (const Answer& answer : answers) {
    for (const auto* floats : {&answer.logprobs, &answer.prompt_logprobs}) {
      XXH64_update(state.get(), floats->data(), floats->size() * sizeof(float));
    }
    XXH64_update(state.get(), answer.ids.data(), answer.ids.size() * sizeof(int32_t));
  }
  return XXH64_digest(state.get());
}

// REQUIRES: a prompt of two tokens or more.
void print_score(const std::vector<Answer>& answers) {
  double nll = 0;
  size_t tokens = 0;
  for (const Answer& answer : answers) {
    for (const float logprob : answer.prompt_logprobs) nll -= logprob;
    tokens += answer.prompt_logprobs.size();
  }
  fmt::print("tokens {}  nll {:.6f}  perplexity {:.6f}\n", tokens, nll / tokens,
             std::exp(nll / tokens));
}

void print_stats(const EngineStats& stats, double seconds) {
  say("generated {} tokens in {:.3f} s: {:.2f} tokens/s; {} steps of {:.3f} ms; {} rows "
      "computed; reduces {:.1f}% of the steps\n",
      stats.generated_tokens, seconds, stats.generated_tokens / seconds, stats.steps,
      1e3 * stats.step_seconds / stats.steps, stats.computed_tokens,
      100 * stats.reduce_seconds / stats.step_seconds);
}

void lead(Engine& engine, const GenerateFlags& flags, const Prompts& loaded) {
  const Tokenizer* tokenizer = loaded.tokenizer.get();
  const auto& prompts = loaded.ids;
  SamplingParams sampling = flags.sampling;
  sampling.logprobs = flags.json || flags.digest;
  sampling.prompt_logprobs = flags.score;
  if (flags.score) sampling.max_tokens = 0;
  if (tokenizer && !sampling.ignore_eos) sampling.stop_token_ids = tokenizer->eos_ids();

  Printer printer(flags, tokenizer, prompts.size());
  std::vector<Answer> answers(prompts.size());
  std::vector<Request> requests;
  for (size_t i = 0; i < prompts.size(); ++i) {
    requests.push_back({.id = i, .prompt = prompts[i], .sampling = sampling});
    const std::string why = why_impossible(requests.back(), engine.info());
    if (!why.empty()) throw InputError(fmt::format("{}: {}", loaded.where[i], why));
  }
  const auto start = std::chrono::steady_clock::now();
  for (Request& request : requests) engine.submit(std::move(request));
  size_t printed = 0;
  engine.run(
      [&](std::vector<RequestOutput> outputs) {
        for (RequestOutput& output : outputs) {
          Answer& answer = answers[output.request_id];
          if (output.token >= 0) {
            answer.ids.push_back(output.token);
            answer.logprobs.push_back(output.logprob);
            printer.token(output.token);
          }
          if (!output.prompt_logprobs.empty()) {
            answer.prompt_logprobs = std::move(output.prompt_logprobs);
          }
          answer.finish = output.finish;
          answer.error = std::move(output.error);
        }
        while (printed < answers.size() && answers[printed].finish != FinishReason::kNone) {
          const Answer& answer = answers[printed];
          if (answer.finish == FinishReason::kError) {
            throw InputError(fmt::format("{}: {}", loaded.where[printed], answer.error));
          }
          printer.answer(printed, answer);
          ++printed;
        }
      },
      true);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (flags.score) print_score(answers);
  if (flags.digest) fmt::print("digest {:016x}\n", digest(answers));
  if (flags.stats) print_stats(engine.stats(), seconds);
}

// Rank 0 reads a file of prompts that this process has read already.
void require_regular(const std::string& file) {
  if (!file.empty() && !std::filesystem::is_regular_file(file)) {
    throw InputError(fmt::format("{}: not a regular file; more than one rank needs one", file));
  }
}

// Flags and prompts are judged by the first process, before any rank starts or loads a weight.
int run(const GenerateFlags& flags) {
  Prompts prompts;
  if (!World::launched_by_mpi()) {
    validate(flags.sampling);
    prompts = load_prompts(flags);
    if (needs_mpirun(flags.engine, flags.tensor_parallel_size)) {
      for (const auto& file : {flags.prompt_file, flags.ids_file}) require_regular(file);
      return run_under_mpirun(flags.tensor_parallel_size);
    }
  }
  EngineOptions engine_options = flags.engine;
  engine_options.warm_up = false;  // what it would save the first prompt, it would cost it
  return run_engine_group("generate", engine_options, flags.tensor_parallel_size,
                          [&](Engine& engine) {
                            if (prompts.ids.empty()) prompts = load_prompts(flags);
                            lead(engine, flags, prompts);
                          });
}

}  // namespace

Verb add_generate(CLI::App& octet) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command =
      octet.add_subcommand("generate", "Continue or score prompts, without a server");
  command
      ->add_option("MODEL", flags->engine.model,
                   "Artefact folder, Hugging Face folder or GGUF file")
      ->required();
  command->add_option("PROMPT", flags->prompts, "Texts to continue");
  command->add_option("--prompt-file", flags->prompt_file, "A file with one prompt a line");
  command->add_option("--prompt-ids-file", flags->ids_file,
                      "A file with one JSON array of token ids a line");
  command->add_option("--max-tokens", flags->sampling.max_tokens, "Tokens to generate")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--temperature", flags->sampling.temperature, "0: greedy")
      ->check(non_negative())
      ->capture_default_str();
  command->add_option("--top-k", flags->sampling.top_k, "0: all")->check(whole_number(INT32_MAX));
  command->add_option("--top-p", flags->sampling.top_p, "Mass of the nucleus")
      ->check(between(1e-6, 1.0));
  command->add_option("--seed", flags->sampling.seed, "Of the draws")
      ->check(whole_number())
      ->capture_default_str();
  command->add_flag("--ignore-eos", flags->sampling.ignore_eos, "Go on after end-of-sequence");
  command->add_flag("--score", flags->score,
                    "Generate nothing; print the prompts' negative log-likelihood");
  command->add_flag("--json", flags->json, "One JSON object a line");
  command->add_flag("--digest", flags->digest, "Print a hash over all ids and log-probabilities");
  command->add_flag("--stats", flags->stats, "Print tokens/s and the share of the reduces");
  add_engine_flags(*command, flags->engine, flags->tensor_parallel_size);
  return {command, [flags] { return run(*flags); }};
}

}  // namespace octet
