// Expressions of chat templates, by precedence: inline if, or, and, not, comparison, ~ + -, * / %,
// unary, postfix.
#pragma once

#include <vector>

#include "runtime/tokenizer/jinja_parser.h"

namespace octet::jinja {

// A place in the tokens.
class Cursor {
 public:
  explicit Cursor(const std::vector<Token>& tokens) : tokens_(tokens) {}

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  Token next();
  bool is_sign(const char* sign) const {
    return peek().kind == Token::Kind::kSign && peek().text == sign;
  }
  bool take_sign(const char* sign);
  bool take_name(const char* name);
  void expect_sign(const char* sign);
  std::string expect_name();
  void expect_end();
  [[noreturn]] void fail(const std::string& what) const;

 private:
  friend class Nesting;
  const std::vector<Token>& tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

// One level deeper, for as long as it lives; throws InputError past the bound.
class Nesting {
 public:
  explicit Nesting(Cursor& cursor) : cursor_(cursor) {
    if (++cursor_.depth_ > kDeepest) cursor_.fail("nested too deeply");
  }
  ~Nesting() { --cursor_.depth_; }

 private:
  static constexpr int kDeepest = 200;
  Cursor& cursor_;
};

// `conditional`: may be followed by "if ... else ...".
Expression parse_expression(Cursor& cursor, bool conditional = true);

}  // namespace octet::jinja
