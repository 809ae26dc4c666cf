// Perplexity of a text: exp of the mean negative log-likelihood of its tokens.
#pragma once

#include <string>

#include "runtime/evaluation/scoring.h"
#include "runtime/tokenizer/tokenizer.h"

namespace octet {

struct PerplexityOptions {
  int context = 0;  // tokens of a window; 0: the group's max_model_len
  int stride = 0;   // tokens from window to window; 0: context, so that no token is context twice
  int64_t max_tokens = 0;  // of the text; 0: all
};

struct Perplexity {
  int64_t tokens = 0;  // scored
  int64_t bytes = 0;   // of the whole text
  double nll = 0;      // natural log, mean over the tokens
  double perplexity = 0;
  double bits_per_byte = 0;  // nll for each token of the whole text
};

// Windows of `context` tokens begin every `stride`; each token is scored once, in the first window
// that has it, but for those that begin a window, which have nothing before them. Throws
// InputError: a text of fewer than two tokens; a context that the group does not have.
Perplexity measure_perplexity(Engine& engine, const Tokenizer& tokenizer, const std::string& text,
                              const PerplexityOptions& options, const ScoringProgress& progress);

}  // namespace octet
