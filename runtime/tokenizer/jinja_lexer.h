// The lexer of chat templates: text, expressions and statements, with Jinja's white space control.
// trim_blocks and lstrip_blocks are on, as they are wherever chat templates are rendered.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace octet::jinja {

struct Token {
  enum class Kind {
    kText,
    kOutputBegin,
    kStatementBegin,
    kEnd,
    kName,
    kString,
    kNumber,
    kSign,
    kFinish
  };
  Kind kind = Kind::kFinish;
  std::string text;  // kString: its value
  size_t line = 1;
};

// Throws InputError with the line of what is not understood.
std::vector<Token> lex(std::string_view source);

}  // namespace octet::jinja
