#include "runtime/tokenizer/jinja_expression.h"

#include <fmt/format.h>

#include <cstdlib>
#include <initializer_list>
#include <utility>

#include "runtime/request/error.h"

namespace octet::jinja {
namespace {

struct Call {
  std::vector<Expression> positional;
  std::vector<std::pair<std::string, Expression>> named;

  Arguments evaluate(Context& context) const {
    Arguments arguments;
    for (const Expression& e : positional) arguments.positional.push_back(e(context));
    for (const auto& [name, e] : named) arguments.named[name] = e(context);
    return arguments;
  }
};

Call parse_call(Cursor& cursor) {  // after "("
  Call call;
  while (!cursor.take_sign(")")) {
    if (cursor.peek().kind == Token::Kind::kName && cursor.peek(1).kind == Token::Kind::kSign &&
        cursor.peek(1).text == "=") {
      const std::string name = cursor.next().text;
      cursor.next();
      call.named.emplace_back(name, parse_expression(cursor));
    } else {
      call.positional.push_back(parse_expression(cursor));
    }
    if (!cursor.is_sign(")")) cursor.expect_sign(",");
  }
  return call;
}

Expression constant(Value value) {
  return [value = std::move(value)](Context&) { return value; };
}

Expression list_of(Cursor& cursor, const char* close) {
  std::vector<Expression> elements;
  while (!cursor.take_sign(close)) {
    elements.push_back(parse_expression(cursor));
    if (!cursor.is_sign(close)) cursor.expect_sign(",");
  }
  return [elements](Context& context) {
    Value list = Value::array();
    for (const Expression& e : elements) list.push_back(e(context));
    return list;
  };
}

Expression mapping(Cursor& cursor) {
  std::vector<std::pair<Expression, Expression>> pairs;
  while (!cursor.take_sign("}")) {
    Expression key = parse_expression(cursor);
    cursor.expect_sign(":");
    pairs.emplace_back(std::move(key), parse_expression(cursor));
    if (!cursor.is_sign("}")) cursor.expect_sign(",");
  }
  return [pairs](Context& context) {
    Value object = Value::object();
    for (const auto& [key, value] : pairs) object[text_of(key(context))] = value(context);
    return object;
  };
}

Expression primary(Cursor& cursor) {
  const Token token = cursor.next();
  switch (token.kind) {
    case Token::Kind::kString:
      return constant(token.text);
    case Token::Kind::kNumber:
      if (token.text.find('.') != token.text.npos)
        return constant(std::strtod(token.text.c_str(), nullptr));
      return constant(static_cast<int64_t>(std::strtoll(token.text.c_str(), nullptr, 10)));
    case Token::Kind::kName:
      if (token.text == "true" || token.text == "True") return constant(true);
      if (token.text == "false" || token.text == "False") return constant(false);
      if (token.text == "none" || token.text == "None") return constant(nullptr);
      if (cursor.take_sign("(")) {
        return [name = token.text, call = parse_call(cursor)](Context& context) {
          return call_function(name, call.evaluate(context));
        };
      }
      return [name = token.text](Context& context) { return context.get(name); };
    case Token::Kind::kSign:
      if (token.text == "[") return list_of(cursor, "]");
      if (token.text == "{") return mapping(cursor);
      if (token.text == "(") {
        Expression inner = parse_expression(cursor);
        cursor.expect_sign(")");
        return inner;
      }
      break;
    default:
      break;
  }
  cursor.fail(fmt::format("\"{}\" where a value should be", token.text));
}

Expression subscript(Cursor& cursor, Expression subject) {  // after "["
  std::vector<Expression> bounds(3, constant(nullptr));
  size_t index = 0;
  bool slice = false;
  while (!cursor.take_sign("]")) {
    if (cursor.take_sign(":")) {
      slice = true;
      if (++index > 2) cursor.fail("a slice of more than three parts");
    } else {
      bounds[index] = parse_expression(cursor);
    }
  }
  if (!slice) {
    return [=](Context& context) { return item_of(subject(context), bounds[0](context)); };
  }
  return [=](Context& context) {
    return slice_of(subject(context), bounds[0](context), bounds[1](context), bounds[2](context));
  };
}

Expression test(Cursor& cursor, Expression subject) {  // after "is"
  const bool negated = cursor.take_name("not");
  const std::string name = cursor.expect_name();
  Call call;
  if (cursor.take_sign("(")) call = parse_call(cursor);
  return [=](Context& context) {
    return Value(apply_test(name, subject(context), call.evaluate(context)) != negated);
  };
}

Expression postfix(Cursor& cursor) {
  Expression value = primary(cursor);
  while (true) {
    if (cursor.take_sign(".")) {
      const std::string name = cursor.expect_name();
      if (cursor.take_sign("(")) {
        value = [value, name, call = parse_call(cursor)](Context& context) {
          return call_method(name, value(context), call.evaluate(context));
        };
      } else {
        value = [value, name](Context& context) { return item_of(value(context), Value(name)); };
      }
    } else if (cursor.take_sign("[")) {
      value = subscript(cursor, value);
    } else if (cursor.take_sign("|")) {
      const std::string name = cursor.expect_name();
      Call call;
      if (cursor.take_sign("(")) call = parse_call(cursor);
      value = [value, name, call](Context& context) {
        return apply_filter(name, value(context), call.evaluate(context));
      };
    } else if (cursor.take_name("is")) {
      value = test(cursor, value);
    } else {
      return value;
    }
  }
}

Expression unary(Cursor& cursor) {
  if (!cursor.take_sign("-")) return postfix(cursor);
  const Nesting nesting(cursor);
  return
      [inner = unary(cursor)](Context& context) { return binary("-", Value(0), inner(context)); };
}

// Left-associative operators of one rank.
template <typename Next>
Expression ranked(Cursor& cursor, std::initializer_list<const char*> signs, Next next) {
  Expression left = next(cursor);
  while (true) {
    const char* found = nullptr;
    for (const char* sign : signs) {
      if (cursor.take_sign(sign)) {
        found = sign;
        break;
      }
    }
    if (found == nullptr) return left;
    left = [left, right = next(cursor), sign = std::string(found)](Context& context) {
      return binary(sign, left(context), right(context));
    };
  }
}

Expression product(Cursor& cursor) { return ranked(cursor, {"*", "//", "/", "%"}, unary); }
Expression sum(Cursor& cursor) { return ranked(cursor, {"+", "-", "~"}, product); }

Expression comparison(Cursor& cursor) {
  Expression left = ranked(cursor, {"==", "!=", "<=", ">=", "<", ">"}, sum);
  while (true) {
    const bool negated = cursor.peek().text == "not" && cursor.peek(1).text == "in";
    if (negated) cursor.next();
    if (!cursor.take_name("in")) return left;
    left = [=, right = sum(cursor)](Context& context) {
      return Value(contains(right(context), left(context)) != negated);
    };
  }
}

Expression negation(Cursor& cursor) {
  if (!cursor.take_name("not")) return comparison(cursor);
  const Nesting nesting(cursor);
  return [inner = negation(cursor)](Context& context) { return Value(!truthy(inner(context))); };
}

Expression conjunction(Cursor& cursor) {
  Expression left = negation(cursor);
  while (cursor.take_name("and")) {
    left = [left, right = negation(cursor)](Context& context) {
      Value value = left(context);
      return truthy(value) ? right(context) : value;
    };
  }
  return left;
}

Expression disjunction(Cursor& cursor) {
  Expression left = conjunction(cursor);
  while (cursor.take_name("or")) {
    left = [left, right = conjunction(cursor)](Context& context) {
      Value value = left(context);
      return truthy(value) ? value : right(context);
    };
  }
  return left;
}

}  // namespace

Token Cursor::next() {
  const Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Cursor::take_sign(const char* sign) {
  if (!is_sign(sign)) return false;
  next();
  return true;
}

bool Cursor::take_name(const char* name) {
  if (peek().kind != Token::Kind::kName || peek().text != name) return false;
  next();
  return true;
}

void Cursor::expect_sign(const char* sign) {
  if (!take_sign(sign)) fail(fmt::format("\"{}\" where \"{}\" should be", peek().text, sign));
}

std::string Cursor::expect_name() {
  if (peek().kind != Token::Kind::kName)
    fail(fmt::format("\"{}\" where a name should be", peek().text));
  return next().text;
}

void Cursor::expect_end() {
  if (peek().kind != Token::Kind::kEnd)
    fail(fmt::format("\"{}\" where the tag should end", peek().text));
  next();
}

void Cursor::fail(const std::string& what) const {
  throw InputError(fmt::format("chat template, line {}: {}", peek().line, what));
}

Expression parse_expression(Cursor& cursor, bool conditional) {
  const Nesting nesting(cursor);
  Expression value = disjunction(cursor);
  if (!conditional || !cursor.take_name("if")) return value;
  Expression condition = disjunction(cursor);
  Expression otherwise = constant("");
  if (cursor.take_name("else")) otherwise = parse_expression(cursor);
  return [=](Context& context) {
    return truthy(condition(context)) ? value(context) : otherwise(context);
  };
}

}  // namespace octet::jinja
