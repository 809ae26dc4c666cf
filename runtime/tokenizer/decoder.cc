#include "runtime/tokenizer/decoder.h"

#include <utility>

#include "runtime/tokenizer/byte_alphabet.h"

namespace octet {
namespace {

class ByteLevelStep : public DecodeStep {
 public:
  std::string apply(std::string piece, bool) const override {
    return bytes_of_stand_ins(piece).value_or(piece);
  }
};

class ByteFallbackStep : public DecodeStep {
 public:
  std::string apply(std::string piece, bool) const override {
    const auto byte = byte_of_token(piece);
    return byte ? std::string(1, static_cast<char>(*byte)) : piece;
  }
};

class ReplaceStep : public DecodeStep {
 public:
  ReplaceStep(Regex what, std::string with) : what_(std::move(what)), with_(std::move(with)) {}

  std::string apply(std::string piece, bool) const override {
    std::string result;
    size_t done = 0;
    for (const Regex::Match& match : what_.find_all(piece)) {
      result.append(piece, done, match.begin - done) += with_;
      done = match.end;
    }
    return result.append(piece, done);
  }

 private:
  const Regex what_;
  const std::string with_;
};

class StripStep : public DecodeStep {
 public:
  StripStep(std::string what, size_t left, size_t right, bool first_only)
      : what_(std::move(what)), left_(left), right_(right), first_only_(first_only) {}

  std::string apply(std::string piece, bool first) const override {
    if (first_only_ && !first) return piece;
    for (size_t i = 0; i < left_ && piece.starts_with(what_); ++i) piece.erase(0, what_.size());
    for (size_t i = 0; i < right_ && piece.ends_with(what_); ++i) {
      piece.resize(piece.size() - what_.size());
    }
    return piece;
  }

 private:
  const std::string what_;
  const size_t left_, right_;
  const bool first_only_;
};

class MetaspaceStep : public DecodeStep {
 public:
  MetaspaceStep(std::string replacement, bool drop_first)
      : replacement_(std::move(replacement)), drop_first_(drop_first) {}

  std::string apply(std::string piece, bool first) const override {
    std::string result;
    for (size_t i = 0; i < piece.size();) {
      if (piece.compare(i, replacement_.size(), replacement_) != 0) {
        result += piece[i++];
        continue;
      }
      if (!first || !drop_first_) result += ' ';
      i += replacement_.size();
    }
    return result;
  }

 private:
  const std::string replacement_;
  const bool drop_first_;
};

class WordsStep : public DecodeStep {
 public:
  std::string apply(std::string piece, bool first) const override {
    return first ? piece : " " + piece;
  }
};

}  // namespace

std::unique_ptr<DecodeStep> decode_byte_level() { return std::make_unique<ByteLevelStep>(); }

std::unique_ptr<DecodeStep> decode_byte_fallback() { return std::make_unique<ByteFallbackStep>(); }

std::unique_ptr<DecodeStep> decode_replace(Regex what, std::string with) {
  return std::make_unique<ReplaceStep>(std::move(what), std::move(with));
}

std::unique_ptr<DecodeStep> decode_strip(std::string what, size_t left, size_t right) {
  return std::make_unique<StripStep>(std::move(what), left, right, false);
}

std::unique_ptr<DecodeStep> decode_strip_first(std::string what, size_t left) {
  return std::make_unique<StripStep>(std::move(what), left, 0, true);
}

std::unique_ptr<DecodeStep> decode_metaspace(std::string replacement, bool drop_first) {
  return std::make_unique<MetaspaceStep>(std::move(replacement), drop_first);
}

std::unique_ptr<DecodeStep> decode_words() { return std::make_unique<WordsStep>(); }

}  // namespace octet
