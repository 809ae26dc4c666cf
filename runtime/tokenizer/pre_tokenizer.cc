#include "runtime/tokenizer/pre_tokenizer.h"

#include <utility>

#include "runtime/tokenizer/byte_alphabet.h"

namespace octet {
namespace {

struct Stretch {
  size_t begin = 0, end = 0;
  bool matched = false;
};

// The matches and what is between them, in order.
std::vector<Stretch> stretches_of(const Regex& pattern, std::string_view text, bool inverted) {
  std::vector<Stretch> stretches;
  size_t done = 0;
  for (const Regex::Match& match : pattern.find_all(text)) {
    if (match.begin > done) stretches.push_back({done, match.begin, inverted});
    stretches.push_back({match.begin, match.end, !inverted});
    done = match.end;
  }
  if (done < text.size()) stretches.push_back({done, text.size(), inverted});
  return stretches;
}

// Is `right` one word with `left` before it?
bool joined(SplitBehavior behavior, bool left_matched, bool right_matched) {
  switch (behavior) {
    case SplitBehavior::kContiguous:
      return left_matched == right_matched;
    case SplitBehavior::kMergedWithPrevious:
      return right_matched && !left_matched;
    case SplitBehavior::kMergedWithNext:
      return left_matched && !right_matched;
    default:
      return false;
  }
}

class SplitPreTokenizer : public PreTokenizer {
 public:
  SplitPreTokenizer(Regex pattern, SplitBehavior behavior, bool inverted)
      : pattern_(std::move(pattern)), behavior_(behavior), inverted_(inverted) {}

  void split(TextPart part, std::vector<TextPart>& words) const override {
    size_t begin = 0;
    const auto stretches = stretches_of(pattern_, part.text, inverted_);
    for (size_t i = 0; i < stretches.size(); ++i) {
      const Stretch& stretch = stretches[i];
      if (i == 0 || !joined(behavior_, stretches[i - 1].matched, stretch.matched)) {
        begin = stretch.begin;
      }
      if (behavior_ == SplitBehavior::kRemoved && stretch.matched) continue;
      if (i + 1 < stretches.size() &&
          joined(behavior_, stretch.matched, stretches[i + 1].matched)) {
        continue;
      }
      words.push_back({part.text.substr(begin, stretch.end - begin), part.at_start && begin == 0});
    }
  }

 private:
  const Regex pattern_;
  const SplitBehavior behavior_;
  const bool inverted_;
};

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, std::unique_ptr<PreTokenizer> cut)
      : add_prefix_space_(add_prefix_space), cut_(std::move(cut)) {}

  void split(TextPart part, std::vector<TextPart>& words) const override {
    if (add_prefix_space_ && !part.text.starts_with(' ')) part.text.insert(0, " ");
    size_t next = words.size();
    if (cut_) {
      cut_->split(std::move(part), words);
    } else {
      words.push_back(std::move(part));
    }
    for (; next < words.size(); ++next) words[next].text = stand_ins_of_bytes(words[next].text);
  }

 private:
  const bool add_prefix_space_;
  const std::unique_ptr<PreTokenizer> cut_;
};

class Metaspace : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}

  void split(TextPart part, std::vector<TextPart>& words) const override {
    std::string text;
    for (const char c : part.text) {
      if (c == ' ') {
        text += replacement_;
      } else {
        text += c;
      }
    }
    const bool wanted =
        scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && part.at_start);
    if (wanted && !text.starts_with(replacement_)) text.insert(0, replacement_);
    size_t begin = 0;
    while (begin < text.size()) {
      size_t end = split_ ? text.find(replacement_, begin + 1) : text.npos;
      end = std::min(end, text.size());
      words.push_back({text.substr(begin, end - begin), part.at_start && begin == 0});
      begin = end;
    }
  }

 private:
  const std::string replacement_;
  const PrependScheme scheme_;
  const bool split_;
};

}  // namespace

std::unique_ptr<PreTokenizer> split_at(Regex pattern, SplitBehavior behavior, bool inverted) {
  return std::make_unique<SplitPreTokenizer>(std::move(pattern), behavior, inverted);
}

std::unique_ptr<PreTokenizer> byte_level(bool add_prefix_space, bool use_regex) {
  // Radford et al. 2019: contractions, words with the space before them, numbers, other signs,
  // white space.
  constexpr const char* kPattern =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  return std::make_unique<ByteLevel>(
      add_prefix_space, use_regex ? split_at(Regex(kPattern), SplitBehavior::kIsolated) : nullptr);
}

std::unique_ptr<PreTokenizer> metaspace(std::string replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}

}  // namespace octet
