#include "runtime/tokenizer/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "runtime/request/error.h"
#include "runtime/tokenizer/jinja_expression.h"

namespace octet::jinja {
namespace {

constexpr size_t kMostSteps = 1'000'000;
constexpr size_t kMostOutput = 4 << 20;

struct Scope {  // a level of variables for the life of a loop's body
  explicit Scope(Context& context) : context_(context) { context.scopes.emplace_back(); }
  ~Scope() { context_.scopes.pop_back(); }
  Context& context_;
};

class Parser {
 public:
  explicit Parser(const std::vector<Token>& tokens) : cursor_(tokens) {}

  Statement run() {
    Statement all = block({});
    if (cursor_.peek().kind != Token::Kind::kFinish)
      cursor_.fail("a block ends that did not begin");
    return all;
  }

 private:
  // Statements up to one of `ends` (whose name is left to be read) or the end of the template.
  Statement block(const std::set<std::string>& ends) {
    const Nesting nesting(cursor_);
    std::vector<Statement> parts;
    while (cursor_.peek().kind != Token::Kind::kFinish) {
      const Token token = cursor_.peek();
      if (token.kind == Token::Kind::kText) {
        cursor_.next();
        parts.push_back([text = token.text](Context& context) { context.write(text); });
      } else if (token.kind == Token::Kind::kOutputBegin) {
        cursor_.next();
        Expression value = parse_expression(cursor_);
        cursor_.expect_end();
        parts.push_back([value](Context& context) { context.write(text_of(value(context))); });
      } else {
        if (ends.contains(cursor_.peek(1).text)) break;
        cursor_.next();
        parts.push_back(statement());
      }
    }
    return [parts](Context& context) {
      for (const Statement& part : parts) {
        context.count_step();
        part(context);
      }
    };
  }

  Statement statement() {
    const std::string name = cursor_.next().text;
    if (name == "if") return conditional();
    if (name == "for") return loop();
    if (name == "set") return assignment();
    if (name == "generation" ||
        name == "endgeneration") {  // marks what the assistant says; prints nothing
      cursor_.expect_end();
      return [](Context&) {};
    }
    cursor_.fail(fmt::format("the statement \"{}\" is not known", name));
  }

  // Reads "{% name %}"'s beginning up to the name, which must be one of those asked for.
  std::string end_name() {
    if (cursor_.peek().kind != Token::Kind::kStatementBegin) cursor_.fail("a block is not ended");
    cursor_.next();
    return cursor_.next().text;
  }

  Statement conditional() {
    std::vector<std::pair<Expression, Statement>> branches;
    Expression condition = parse_expression(cursor_);
    while (true) {
      cursor_.expect_end();
      Statement body = block({"elif", "else", "endif"});
      branches.emplace_back(std::move(condition), std::move(body));
      const std::string name = end_name();
      if (name == "endif") break;
      condition = name == "elif" ? parse_expression(cursor_) : [](Context&) { return Value(true); };
    }
    cursor_.expect_end();
    return [branches](Context& context) {
      for (const auto& [test, body] : branches) {
        if (!truthy(test(context))) continue;
        body(context);
        return;
      }
    };
  }

  Statement loop() {
    std::vector<std::string> names{cursor_.expect_name()};
    while (cursor_.take_sign(",")) names.push_back(cursor_.expect_name());
    if (!cursor_.take_name("in")) cursor_.fail("\"for\" without \"in\"");
    Expression sequence = parse_expression(cursor_, false);
    std::optional<Expression> filter;
    if (cursor_.take_name("if")) filter = parse_expression(cursor_);
    cursor_.expect_end();
    Statement body = block({"else", "endfor"}), otherwise = [](Context&) {};
    if (end_name() == "else") {
      cursor_.expect_end();
      otherwise = block({"endfor"});
      end_name();
    }
    cursor_.expect_end();
    return [=](Context& context) {
      const Value all = sequence(context);
      const Scope scope(context);
      const auto bind = [&](const Value& element) {
        for (size_t i = 0; i < names.size(); ++i) {
          context.set(names[i], names.size() == 1 ? element : item_of(element, Value(i)));
        }
      };
      std::vector<Value> elements;
      if (all.is_object()) {
        for (const auto& [key, value] : all.items()) elements.emplace_back(key);
      } else if (all.is_array()) {
        elements.assign(all.begin(), all.end());
      }
      if (filter) {
        std::erase_if(elements, [&](const Value& element) {
          bind(element);
          return !truthy((*filter)(context));
        });
      }
      for (size_t i = 0; i < elements.size(); ++i) {
        context.count_step();
        bind(elements[i]);
        context.set("loop", {{"index", i + 1},
                             {"index0", i},
                             {"first", i == 0},
                             {"last", i + 1 == elements.size()},
                             {"length", elements.size()},
                             {"previtem", i > 0 ? elements[i - 1] : Value()},
                             {"nextitem", i + 1 < elements.size() ? elements[i + 1] : Value()}});
        body(context);
      }
      if (elements.empty()) otherwise(context);
    };
  }

  Statement assignment() {
    const std::string name = cursor_.expect_name();
    const std::string field = cursor_.take_sign(".") ? cursor_.expect_name() : "";
    if (!cursor_.take_sign("=")) cursor_.fail("\"set\" without \"=\"");
    Expression value = parse_expression(cursor_);
    cursor_.expect_end();
    return [=](Context& context) {
      Value result = value(context);
      if (field.empty()) {
        context.set(name, std::move(result));
        return;
      }
      Value* object = context.find(name);
      if (object == nullptr || !object->is_object()) {
        throw InputError(fmt::format("chat template: \"{}\" is no namespace", name));
      }
      (*object)[field] = std::move(result);
    };
  }

  Cursor cursor_;
};

}  // namespace

Value Context::get(const std::string& name) const {
  for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope) {
    const auto place = scope->find(name);
    if (place != scope->end()) return place->second;
  }
  return undefined();
}

Value* Context::find(const std::string& name) {
  for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope) {
    const auto place = scope->find(name);
    if (place != scope->end()) return &place->second;
  }
  return nullptr;
}

void Context::write(const std::string& text) {
  if (output.size() + text.size() > kMostOutput)
    throw InputError("chat template: it prints too much");
  output += text;
}

void Context::count_step() {
  if (++steps > kMostSteps) throw InputError("chat template: it runs too long");
}

Statement parse(const std::vector<Token>& tokens) { return Parser(tokens).run(); }

}  // namespace octet::jinja
