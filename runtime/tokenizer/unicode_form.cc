#include <fmt/format.h>
#include <utf8proc.h>

#include <cstdlib>

#include "runtime/request/error.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

utf8proc_option_t options_of(UnicodeForm form) {
  const bool compose = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE |
                                        (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

class UnicodeFormNormalizer : public Normalizer {
 public:
  explicit UnicodeFormNormalizer(UnicodeForm form) : options_(options_of(form)) {}

  // A younger character is as it is, and nothing moves past it.
  void apply(TextPart& part) const override {
    std::string result;
    size_t begin = 0;
    for (size_t i = 0; i < part.text.size();) {
      const CodePoint point = code_point_at(part.text, i);
      if (is_younger_than_normalization(point.value)) {
        result += mapped(std::string_view(part.text).substr(begin, i - begin));
        result.append(part.text, i, point.length);
        begin = i + point.length;
      }
      i += point.length;
    }
    part.text = result + mapped(std::string_view(part.text).substr(begin));
  }

 private:
  std::string mapped(std::string_view text) const {
    utf8proc_uint8_t* out = nullptr;
    const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                     static_cast<utf8proc_ssize_t>(text.size()), &out, options_);
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, std::free);
    if (length < 0) {
      throw InputError(fmt::format("the text cannot be normalised: {}", utf8proc_errmsg(length)));
    }
    return {reinterpret_cast<char*>(out), static_cast<size_t>(length)};
  }

  const utf8proc_option_t options_;
};

}  // namespace

std::unique_ptr<Normalizer> unicode_form(UnicodeForm form) {
  return std::make_unique<UnicodeFormNormalizer>(form);
}

}  // namespace octet
