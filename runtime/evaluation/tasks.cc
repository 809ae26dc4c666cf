#include "runtime/evaluation/tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

int characters(const std::string& text) {
  return static_cast<int>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string shown(const TaskExample& example, const std::string& delimiter) {
  return example.query + delimiter + example.choices[static_cast<size_t>(example.gold)];
}

// The continuation's tokens are those that the whole text has more than the context. A space at the
// context's end belongs to the continuation: vocabularies have words with the space before them.
ScoredText scored_text(const Tokenizer& tokenizer, std::string context, std::string continuation,
                       int max_tokens) {
  const size_t end = context.find_last_not_of(" \n\t");
  const size_t kept = end == std::string::npos ? 0 : end + 1;
  continuation = context.substr(kept) + continuation;
  context.resize(kept);
  ScoredText text{.ids = tokenizer.encode(context + continuation, true, false)};
  text.start = static_cast<int>(tokenizer.encode(context, true, false).size());
  const auto scored = std::ssize(text.ids) - text.start;
  if (text.start < 1 || scored < 1 || scored >= max_tokens) {
    throw InputError(fmt::format("{} cannot be scored: {} tokens after {}, of at most {}",
                                 printable(continuation), scored, text.start, max_tokens));
  }
  if (const auto excess = std::ssize(text.ids) - max_tokens; excess > 0) {
    text.ids.erase(text.ids.begin(), text.ids.begin() + excess);
    text.start -= static_cast<int>(excess);
  }
  return text;
}

double standard_error(double share, int count) {
  return count > 1 ? std::sqrt(share * (1 - share) / (count - 1)) : 0;
}

TaskResult judge(const Task& task, std::span<const TaskExample> asked,
                 std::span<const Score> scores) {
  TaskResult result{.name = task.name, .examples = static_cast<int>(asked.size())};
  result.greedy = asked[0].choices.size() == 1;
  double right = 0, right_norm = 0, logprob = 0;
  size_t at = 0;
  for (const TaskExample& example : asked) {
    const auto of_example = scores.subspan(at, example.choices.size());
    at += example.choices.size();
    if (result.greedy) {
      right += of_example[0].greedy;
      logprob += of_example[0].logprob;
      continue;
    }
    int best = 0, best_norm = 0;
    const auto norm = [&](int i) {
      return of_example[static_cast<size_t>(i)].logprob /
             characters(example.choices[static_cast<size_t>(i)]);
    };
    for (int i = 1; i < static_cast<int>(of_example.size()); ++i) {
      if (of_example[static_cast<size_t>(i)].logprob >
          of_example[static_cast<size_t>(best)].logprob) {
        best = i;
      }
      if (norm(i) > norm(best_norm)) best_norm = i;
    }
    right += best == example.gold;
    right_norm += best_norm == example.gold;
  }
  result.acc = right / result.examples;
  result.acc_stderr = standard_error(result.acc, result.examples);
  if (result.greedy) {
    result.perplexity = std::exp(-logprob / result.examples);
  } else {
    result.acc_norm = right_norm / result.examples;
    result.acc_norm_stderr = standard_error(result.acc_norm, result.examples);
  }
  return result;
}

}  // namespace

TaskResult run_task(Engine& engine, const Tokenizer& tokenizer, const Task& task,
                    const TaskOptions& options, const ScoringProgress& progress) {
  const auto shots = static_cast<size_t>(options.shots);
  if (shots >= task.examples.size()) {
    throw InputError(fmt::format("{}: {} examples are too few for {} shots", task.name,
                                 task.examples.size(), shots));
  }
  std::span<const TaskExample> asked = std::span(task.examples).subspan(shots);
  if (options.limit > 0) {
    asked = asked.first(std::min(asked.size(), static_cast<size_t>(options.limit)));
  }
  std::string before;
  for (size_t i = 0; i < shots; ++i) before += shown(task.examples[i], task.delimiter) + "\n\n";
  std::vector<ScoredText> texts;
  for (const TaskExample& example : asked) {
    try {
      for (const std::string& choice : example.choices) {
        texts.push_back(scored_text(tokenizer, before + example.query + task.delimiter, choice,
                                    engine.info().max_model_len));
      }
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}, example {}: {}", task.name,
                                   &example - task.examples.data() + 1, error.what()));
    }
  }
  return judge(task, asked, score_all(engine, texts, progress));
}

}  // namespace octet
