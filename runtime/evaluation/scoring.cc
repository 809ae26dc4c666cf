#include "runtime/evaluation/scoring.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/check.h"
#include "runtime/request/error.h"

namespace octet {

std::vector<Score> score_all(Engine& engine, std::span<const ScoredText> texts,
                             const ScoringProgress& progress) {
  std::vector<Score> scores(texts.size());
  uint64_t done = 0, total = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const ScoredText& text = texts[i];
    OCTET_CHECK(text.start >= 1 && text.start < std::ssize(text.ids), "text {}: {} of {} ids", i,
                text.start, text.ids.size());
    total += text.ids.size() - static_cast<size_t>(text.start);
    engine.submit(
        {.id = i,
         .prompt = text.ids,
         .sampling = {
             .max_tokens = 0, .prompt_logprobs = true, .prompt_logprobs_start = text.start}});
  }
  engine.run(
      [&](std::vector<RequestOutput> outputs) {
        for (const RequestOutput& output : outputs) {
          if (output.finish == FinishReason::kError) {
            throw InputError(fmt::format("text {}: {}", output.request_id, output.error));
          }
          Score& score = scores[output.request_id];
          for (const float logprob : output.prompt_logprobs) score.logprob += logprob;
          score.tokens = static_cast<int>(output.prompt_logprobs.size());
          score.greedy =
              std::ranges::find(output.prompt_greedy, false) == output.prompt_greedy.end();
          done += output.prompt_logprobs.size();
        }
        if (progress) progress(done, total);
      },
      true);
  return scores;
}

}  // namespace octet
