#include <optional>
#include <utility>

#include "runtime/tokenizer/precompiled_charsmap.h"
#include "runtime/tokenizer/prefix_index.h"
#include "runtime/tokenizer/sentencepiece_model.h"
#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

constexpr std::string_view kEscapedSpace = "\xE2\x96\x81";  // U+2581

// Rules by the longest match from left to right, user-defined pieces untouched, and white space.
class SentencePieceNormalizer : public Normalizer {
 public:
  SentencePieceNormalizer(const SentencePieceModel& model, const std::string& where)
      : collapse_(model.remove_extra_white_space),
        prefix_(model.add_dummy_prefix),
        space_(model.escape_white_space ? kEscapedSpace : " ") {
    if (!model.charsmap.empty()) charsmap_.emplace(model.charsmap, where);
    const PieceIds user_defined = ids_of_types(model, {PieceType::kUserDefined});
    untouched_ = PrefixIndex({user_defined.begin(), user_defined.end()});
  }

  void apply(TextPart& part) const override {
    std::string_view rest = part.text;
    while (collapse_ && !rest.empty()) {
      const Step step = next(rest);
      if (step.with != " ") break;
      rest.remove_prefix(step.length);
    }
    std::string result;
    if (!rest.empty()) {
      if (prefix_) result += space_;
      append(rest, result);
    }
    part.text = std::move(result);
  }

 private:
  struct Step {
    size_t length = 0;
    std::string_view with;
  };

  Step next(std::string_view text) const {
    if (const auto found = untouched_.longest(text)) {
      return {found->length, text.substr(0, found->length)};
    }
    if (charsmap_) {
      if (const auto rule = charsmap_->longest(text)) return {rule->length, rule->with};
    }
    const size_t length = code_point_at(text, 0).length;
    return {length, text.substr(0, length)};
  }

  void append(std::string_view rest, std::string& result) const {
    bool after_space = collapse_;
    while (!rest.empty()) {
      Step step = next(rest);
      rest.remove_prefix(step.length);
      while (after_space && step.with.starts_with(' ')) step.with.remove_prefix(1);
      if (step.with.empty()) continue;
      for (const char c : step.with) {
        if (c == ' ') {
          result += space_;
        } else {
          result += c;
        }
      }
      after_space = collapse_ && step.with.ends_with(' ');
    }
    while (collapse_ && result.ends_with(space_)) result.resize(result.size() - space_.size());
  }

  const bool collapse_, prefix_;
  const std::string_view space_;
  std::optional<PrecompiledCharsmap> charsmap_;
  PrefixIndex untouched_;
};

}  // namespace

std::unique_ptr<Normalizer> sentencepiece_normalizer(const SentencePieceModel& model,
                                                     const std::string& where) {
  return std::make_unique<SentencePieceNormalizer>(model, where);
}

}  // namespace octet
