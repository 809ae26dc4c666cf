#include "runtime/tokenizer/jinja_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "runtime/request/error.h"

namespace octet::jinja {
namespace {

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t open = find_open();
      text(open);
      if (open >= source_.size()) break;
      const char kind = source_[open + 1];
      at_ = open + 2;
      if (at_ < source_.size() && (source_[at_] == '-' || source_[at_] == '+')) ++at_;
      if (kind == '#') {
        comment();
      } else {
        inside(kind == '{' ? Token::Kind::kOutputBegin : Token::Kind::kStatementBegin);
      }
    }
    put(Token::Kind::kFinish, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("chat template, line {}: {}", line_, what));
  }

  void put(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  size_t find_open() const {
    for (size_t i = at_; i + 1 < source_.size(); ++i) {
      if (source_[i] == '{' &&
          (source_[i + 1] == '{' || source_[i + 1] == '%' || source_[i + 1] == '#'))
        return i;
    }
    return source_.size();
  }

  // The text from at_ to `open`, stripped as the tags around it ask.
  void text(size_t open) {
    std::string part(source_.substr(at_, open - at_));
    line_ += static_cast<size_t>(std::count(part.begin(), part.end(), '\n'));
    if (strip_next_) part.erase(0, part.find_first_not_of(" \t\r\n"));
    bool line_start = at_ == 0 || source_[at_ - 1] == '\n';
    if (trim_newline_ && !strip_next_) {
      const size_t newline = part.starts_with("\r\n") ? 2 : part.starts_with("\n") ? 1 : 0;
      part.erase(0, newline);
      line_start = line_start || newline > 0;
    }
    if (open < source_.size()) {
      const char sign = open + 2 < source_.size() ? source_[open + 2] : ' ';
      if (sign == '-') {
        part.erase(part.find_last_not_of(" \t\r\n") + 1);
      } else if (source_[open + 1] != '{' && sign != '+') {
        const size_t last = part.find_last_not_of(" \t");
        const bool own_line = last == part.npos ? line_start : part[last] == '\n';
        if (own_line) part.erase(last == part.npos ? 0 : last + 1);
      }
    }
    if (!part.empty()) put(Token::Kind::kText, part);
    at_ = open;
    strip_next_ = trim_newline_ = false;
  }

  void comment() {
    const size_t close = source_.find("#}", at_);
    if (close == source_.npos) fail("a comment is not closed");
    line_ += static_cast<size_t>(std::count(source_.begin() + at_, source_.begin() + close, '\n'));
    strip_next_ = close > at_ && source_[close - 1] == '-';
    trim_newline_ = true;
    at_ = close + 2;
  }

  void inside(Token::Kind begin) {
    const std::string_view close = begin == Token::Kind::kOutputBegin ? "}}" : "%}";
    put(begin, "");
    while (true) {
      while (at_ < source_.size() && std::isspace(static_cast<unsigned char>(source_[at_]))) {
        line_ += source_[at_++] == '\n';
      }
      if (at_ >= source_.size()) fail("a tag is not closed");
      const std::string_view rest = source_.substr(at_);
      const bool strip = rest[0] == '-' && rest.substr(1).starts_with(close);
      if (strip || rest.starts_with(close)) {
        at_ += close.size() + (strip ? 1 : 0);
        strip_next_ = strip;
        trim_newline_ = begin == Token::Kind::kStatementBegin;
        put(Token::Kind::kEnd, "");
        return;
      }
      token(rest);
    }
  }

  void token(std::string_view rest) {
    const auto is_name = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
    };
    if (rest[0] == '"' || rest[0] == '\'') {
      string(rest[0]);
    } else if (std::isdigit(static_cast<unsigned char>(rest[0]))) {
      size_t n = 1;
      while (n < rest.size() &&
             (std::isdigit(static_cast<unsigned char>(rest[n])) || rest[n] == '.'))
        ++n;
      put(Token::Kind::kNumber, std::string(rest.substr(0, n)));
      at_ += n;
    } else if (is_name(rest[0])) {
      size_t n = 1;
      while (n < rest.size() && is_name(rest[n])) ++n;
      put(Token::Kind::kName, std::string(rest.substr(0, n)));
      at_ += n;
    } else {
      constexpr std::array<std::string_view, 7> kTwo{"==", "!=", "<=", ">=", "//", "**", "||"};
      const bool two = std::find(kTwo.begin(), kTwo.end(), rest.substr(0, 2)) != kTwo.end();
      const std::string sign(rest.substr(0, two ? 2 : 1));
      if (!two && std::string_view("+-*/%~=<>|.,:()[]{}").find(sign[0]) == std::string_view::npos) {
        fail(fmt::format("unexpected \"{}\"", sign));
      }
      put(Token::Kind::kSign, sign);
      at_ += sign.size();
    }
  }

  void string(char quote) {
    std::string value;
    for (++at_; at_ < source_.size() && source_[at_] != quote; ++at_) {
      if (source_[at_] != '\\' || at_ + 1 >= source_.size()) {
        line_ += source_[at_] == '\n';
        value += source_[at_];
        continue;
      }
      const char escaped = source_[++at_];
      switch (escaped) {
        case 'n':
          value += '\n';
          break;
        case 't':
          value += '\t';
          break;
        case 'r':
          value += '\r';
          break;
        case '\\':
        case '\'':
        case '"':
          value += escaped;
          break;
        default:
          value += '\\';
          value += escaped;
      }
    }
    if (at_ >= source_.size()) fail("a string is not closed");
    ++at_;
    put(Token::Kind::kString, value);
  }

  const std::string_view source_;
  size_t at_ = 0, line_ = 1;
  bool strip_next_ = false, trim_newline_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source) { return Lexer(source).run(); }

}  // namespace octet::jinja
