// The parser of chat templates: tokens to a tree of closures, which is then called with the
// variables.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/tokenizer/jinja_lexer.h"
#include "runtime/tokenizer/jinja_value.h"

namespace octet::jinja {

// Variables, innermost scope last, and what was rendered so far. Bounds keep a hostile template
// finite.
struct Context {
  std::vector<std::map<std::string, Value>> scopes{1};
  std::string output;
  size_t steps = 0;

  Value get(const std::string& name) const;  // undefined where there is none
  Value* find(const std::string& name);
  void set(const std::string& name, Value value) { scopes.back()[name] = std::move(value); }
  void write(const std::string& text);  // throws InputError past the bound
  void count_step();                    // throws InputError past the bound
};

using Expression = std::function<Value(Context&)>;
using Statement = std::function<void(Context&)>;

// Throws InputError with the line.
Statement parse(const std::vector<Token>& tokens);

}  // namespace octet::jinja
