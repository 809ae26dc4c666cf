#include "runtime/tokenizer/normalizer.h"

#include <algorithm>
#include <utility>

#include "runtime/tokenizer/byte_alphabet.h"
#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

// Each character alone becomes what put(result, character) puts.
class Characters : public Normalizer {
 public:
  using Put = void (*)(std::string& result, char32_t point);
  explicit Characters(Put put) : put_(put) {}

  void apply(TextPart& part) const override {
    std::string result;
    for (size_t i = 0; i < part.text.size();) {
      const CodePoint point = code_point_at(part.text, i);
      put_(result, point.value);
      if (i == 0 && result.empty()) part.at_start = false;
      i += point.length;
    }
    part.text = std::move(result);
  }

 private:
  const Put put_;
};

void put_unless_mark(std::string& result, char32_t point) {
  if (!is_mark(point) || is_younger_than_normalization(point)) append_utf8(result, point);
}

// The cleaning of the NMT work that SentencePiece came from.
void put_nmt(std::string& result, char32_t c) {
  const bool control = (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) ||
                       c == 0x7F || c == 0x8F || c == 0x9F;
  if (control) return;
  const bool space = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                     (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                     c == 0xFEFF || c == 0xFFFD;
  append_utf8(result, space ? U' ' : c);
}

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  void apply(TextPart& part) const override {
    size_t begin = part.text.size(), end = 0;  // of what is no white space
    for (size_t i = 0; i < part.text.size();) {
      const CodePoint point = code_point_at(part.text, i);
      if (!is_white_space(point.value)) {
        begin = std::min(begin, i);
        end = i + point.length;
      }
      i += point.length;
    }
    if (right_ || end == 0) part.text.resize(left_ || right_ ? end : part.text.size());
    if (!left_ || begin == 0) return;
    part.text.erase(0, begin);
    part.at_start = false;
  }

 private:
  const bool left_, right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(TextPart& part) const override {
    if (!part.text.empty()) part.text.insert(0, prefix_);
  }

 private:
  const std::string prefix_;
};

class Replace : public Normalizer {
 public:
  Replace(Regex what, std::string with) : what_(std::move(what)), with_(std::move(with)) {}

  void apply(TextPart& part) const override {
    std::string result;
    size_t done = 0;
    for (const Regex::Match& match : what_.find_all(part.text)) {
      if (match.begin == 0 && match.end > 0 && with_.empty()) part.at_start = false;
      result.append(part.text, done, match.begin - done);
      result += with_;
      done = match.end;
    }
    part.text = result.append(part.text, done);
  }

 private:
  const Regex what_;
  const std::string with_;
};

class ByteStandIns : public Normalizer {
 public:
  void apply(TextPart& part) const override { part.text = stand_ins_of_bytes(part.text); }
};

}  // namespace

std::unique_ptr<Normalizer> lowercase() { return std::make_unique<Characters>(append_lowercase); }

std::unique_ptr<Normalizer> strip_accents() {
  return std::make_unique<Characters>(put_unless_mark);
}

std::unique_ptr<Normalizer> nmt() { return std::make_unique<Characters>(put_nmt); }

std::unique_ptr<Normalizer> strip_white_space(bool left, bool right) {
  return std::make_unique<Strip>(left, right);
}

std::unique_ptr<Normalizer> prepend(std::string prefix) {
  return std::make_unique<Prepend>(std::move(prefix));
}

std::unique_ptr<Normalizer> replace(Regex what, std::string with) {
  return std::make_unique<Replace>(std::move(what), std::move(with));
}

std::unique_ptr<Normalizer> byte_stand_ins() { return std::make_unique<ByteStandIns>(); }

}  // namespace octet
