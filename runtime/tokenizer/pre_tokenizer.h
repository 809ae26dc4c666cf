// PreTokenizer: the second stage of a tokenizer, which cuts a text into the words that the model
// sees alone. Immutable; any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/text_part.h"

namespace octet {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Appends the words of `part`, which may be empty ones. Throws InputError.
  virtual void split(TextPart part, std::vector<TextPart>& words) const = 0;
};

using PreTokenizers = std::vector<std::unique_ptr<PreTokenizer>>;

// What becomes of a match: "between" are the stretches without one.
enum class SplitBehavior {
  kRemoved,             // only what is between
  kIsolated,            // a word each
  kMergedWithPrevious,  // joined to what is between before it
  kMergedWithNext,      // joined to what is between behind it
  kContiguous,          // neighbouring matches are one word
};

// inverted: what is between takes the part of the matches.
std::unique_ptr<PreTokenizer> split_at(Regex pattern, SplitBehavior behavior,
                                       bool inverted = false);

// Each byte becomes its printable stand-in (byte_alphabet.h); before that a space is put before a
// text without one (add_prefix_space) and GPT-2's regular expression cuts (use_regex).
std::unique_ptr<PreTokenizer> byte_level(bool add_prefix_space, bool use_regex);

// Spaces become `replacement`, one more is put before a text without one, each begins a word
// (split).
enum class PrependScheme { kAlways, kFirst, kNever };  // kFirst: at the start of the whole text
std::unique_ptr<PreTokenizer> metaspace(std::string replacement, PrependScheme scheme, bool split);

// What GGUF files name in one word (tokenizer.ggml.pre): "gpt-2", "smollm", "llama-bpe", ...: the
// cuts, byte_level() among them, and what llama.cpp ties to them.
struct NamedTokenizer {
  PreTokenizers pre_tokenizers;
  bool whole_words = false;  // a word that is a piece is not cut
  bool add_bos = false;      // where the file does not say
};
// nullopt: an unknown name.
std::optional<NamedTokenizer> named_tokenizer(std::string_view name);

}  // namespace octet
