#include "runtime/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "runtime/request/error.h"
#include "runtime/tokenizer/unicode.h"

namespace octet {

struct Regex::Compiled {
  pcre2_code* code = nullptr;
};

void Regex::CompiledDeleter::operator()(Compiled* compiled) const {
  pcre2_code_free(compiled->code);
  delete compiled;
}

Regex::Regex(const std::string& pattern, uint32_t options) : compiled_(new Compiled) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  options, &error, &offset, nullptr);
  if (compiled_->code == nullptr) {
    throw InputError(fmt::format("tokenizer: the pattern {} is not understood at {} (PCRE2 {})",
                                 pattern, offset, error));
  }
  pcre2_jit_compile(compiled_->code, PCRE2_JIT_COMPLETE);
}

Regex::Regex(const std::string& pattern)
    : Regex(pcre2_of_oniguruma(pattern), PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE) {}

Regex Regex::literal(const std::string& text) { return Regex(text, PCRE2_UTF | PCRE2_LITERAL); }

std::vector<Regex::Match> Regex::find_all(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(compiled_->code, nullptr), pcre2_match_data_free);
  const std::string subject = with_older_characters(text);
  const auto match_at = [&](size_t at, uint32_t options) {
    return pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(subject.data()),
                       subject.size(), at, PCRE2_NO_UTF_CHECK | options, data.get(), nullptr);
  };
  std::vector<Match> matches;
  size_t at = 0;
  while (at <= text.size()) {
    int found = match_at(at, 0);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match_at(at, PCRE2_NO_JIT);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) throw InputError(fmt::format("tokenizer: PCRE2 error {} in a text", found));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    const Match match{ends[0], ends[1]};
    if (match.end < match.begin) break;  // \K behind a look-ahead
    const bool empty = match.begin == match.end;
    if (!empty || matches.empty() || matches.back().end != match.begin) matches.push_back(match);
    at = match.end;
    if (empty) at += at < text.size() ? code_point_at(text, at).length : 1;
  }
  return matches;
}

}  // namespace octet
