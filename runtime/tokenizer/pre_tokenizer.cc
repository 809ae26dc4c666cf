#include "runtime/tokenizer/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "runtime/request/error.h"

namespace octet {

// Radford et al. 2019: contractions, words with the space before them, numbers, other signs, white
// space.
const char* const kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace

struct Splitter::Compiled {
  pcre2_code* code = nullptr;
  ~Compiled() { pcre2_code_free(code); }
};

Splitter::Splitter(const std::string& pattern, Kind kind, bool literal)
    : compiled_(std::make_unique<Compiled>()), kind_(kind) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  const uint32_t options = PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP);
  compiled_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  options, &error, &offset, nullptr);
  if (compiled_->code == nullptr) {
    throw InputError(fmt::format("tokenizer: the pattern {} is not understood at {} (PCRE2 {})",
                                 pattern, offset, error));
  }
  pcre2_jit_compile(compiled_->code, PCRE2_JIT_COMPLETE);
}

Splitter::~Splitter() = default;
Splitter::Splitter(Splitter&&) noexcept = default;

void Splitter::split(std::string_view text, std::vector<std::string_view>& words) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(compiled_->code, nullptr), pcre2_match_data_free);
  const auto put = [&](size_t begin, size_t end) {
    if (begin < end) words.push_back(text.substr(begin, end - begin));
  };
  size_t word = 0, at = 0;  // start of the word that is open; where to look on
  while (at < text.size()) {
    const int found = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), at, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) throw InputError(fmt::format("tokenizer: PCRE2 error {} in a text", found));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.get());
    const size_t begin = ends[0], end = ends[1];
    if (end <= begin) break;  // an empty match cuts nothing
    switch (kind_) {
      case Kind::kIsolated:
        put(word, begin);
        put(begin, end);
        word = end;
        break;
      case Kind::kRemoved:
        put(word, begin);
        word = end;
        break;
      case Kind::kMergedPrevious:
        put(word, end);
        word = end;
        break;
      case Kind::kMergedNext:
        put(word, begin);
        word = begin;
        break;
    }
    at = end;
  }
  put(word, text.size());
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> words{text}, next;
  for (const Splitter& splitter : splitters_) {
    next.clear();
    for (const std::string_view word : words) splitter.split(word, next);
    words.swap(next);
  }
  return words;
}

PreTokenizer named_pre_tokenizer(const std::string& name) {
  PreTokenizer result;
  const auto add = [&](const char* pattern) {
    result.add(Splitter(pattern, Splitter::Kind::kIsolated));
  };
  if (name == "smollm" || name == "starcoder" || name == "refact" || name == "command-r") {
    add(R"(\p{N})");
    add(kGpt2Pattern);
  } else if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") {
    add(kLlama3Pattern);
  } else if (name == "qwen2" || name == "stablelm2") {
    add(kQwen2Pattern);
  } else if (name == "gpt-2" || name == "mpt" || name == "olmo" || name == "phi-2" ||
             name == "default") {
    add(kGpt2Pattern);
  } else {
    throw InputError(fmt::format("tokenizer.ggml.pre: \"{}\" is not a known pre-tokenizer", name));
  }
  return result;
}

}  // namespace octet
