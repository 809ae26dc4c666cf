#include "runtime/evaluation/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/request/error.h"

namespace octet {
namespace {

std::vector<ScoredText> windows(const std::vector<int32_t>& ids, int64_t context, int64_t stride) {
  std::vector<ScoredText> windows;
  const auto size = std::ssize(ids);
  for (int64_t begin = 0, scored = 1; scored < size; begin += stride) {
    const int64_t end = std::min(size, begin + context);
    const int64_t start = std::max<int64_t>(scored - begin, 1);
    scored = end;
    if (begin + start >= end) continue;  // a window of one token, which has nothing before it
    windows.push_back(
        {.ids = {ids.begin() + begin, ids.begin() + end}, .start = static_cast<int>(start)});
  }
  return windows;
}

}  // namespace

Perplexity measure_perplexity(Engine& engine, const Tokenizer& tokenizer, const std::string& text,
                              const PerplexityOptions& options, const ScoringProgress& progress) {
  const int most = engine.info().max_model_len;
  const int context = options.context > 0 ? options.context : most;
  const int stride = options.stride > 0 ? options.stride : context;
  if (context < 2 || context > most || stride > context) {
    throw InputError(
        fmt::format("a context of {} and a stride of {}: must be from 2 to {}, and at most "
                    "the context",
                    context, stride, most));
  }
  std::vector<int32_t> ids = tokenizer.encode(text, true, false);
  if (options.max_tokens > 0 && std::ssize(ids) > options.max_tokens) {
    ids.resize(static_cast<size_t>(options.max_tokens));
  }
  const std::vector<ScoredText> texts = windows(ids, context, stride);
  if (texts.empty()) throw InputError("the text has fewer than two tokens");
  Perplexity result{.bytes = static_cast<int64_t>(tokenizer.decode(ids).size())};
  double logprob = 0;
  for (const Score& score : score_all(engine, texts, progress)) {
    logprob += score.logprob;
    result.tokens += score.tokens;
  }
  result.nll = -logprob / static_cast<double>(result.tokens);
  result.perplexity = std::exp(result.nll);
  if (result.bytes == 0) throw InputError("the text's tokens have no bytes");
  result.bits_per_byte = result.nll / std::numbers::ln2 * static_cast<double>(ids.size()) /
                         static_cast<double>(result.bytes);
  return result;
}

}  // namespace octet
