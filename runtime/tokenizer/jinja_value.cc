#include "runtime/tokenizer/jinja_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/request/error.h"

namespace octet::jinja {
namespace {

constexpr size_t kLargest = 1 << 20;  // elements or bytes that a template may make in one value

[[noreturn]] void fail(const std::string& what) { throw InputError("chat template: " + what); }

const std::string& string_of(const Value& value, const char* what) {
  if (!value.is_string()) fail(fmt::format("{} needs a string, not {}", what, value.type_name()));
  return value.get_ref<const std::string&>();
}

std::string stripped(const std::string& text, bool left, bool right,
                     const std::string& set = " \t\r\n\v\f") {
  const size_t begin = left ? text.find_first_not_of(set) : 0;
  if (begin == text.npos) return "";
  const size_t end = right ? text.find_last_not_of(set) + 1 : text.size();
  return text.substr(begin, end - begin);
}

std::string mapped(std::string text, int (*letter)(int)) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x80) c = static_cast<char>(letter(c));
  }
  return text;
}

std::string replaced(const std::string& text, const std::string& what, const std::string& with) {
  if (what.empty()) return text;
  std::string result;
  size_t begin = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, begin)) {
    result += text.substr(begin, at - begin) + with;
    begin = at + what.size();
    if (result.size() > kLargest) fail("a text grows too long");
  }
  return result + text.substr(begin);
}

Value split(const std::string& text, const Value& separator) {
  Value parts = Value::array();
  if (!separator.is_string()) {  // by runs of white space
    size_t at = 0;
    while ((at = text.find_first_not_of(" \t\r\n", at)) != text.npos) {
      const size_t end = std::min(text.find_first_of(" \t\r\n", at), text.size());
      parts.push_back(text.substr(at, end - at));
      at = end;
    }
    return parts;
  }
  const std::string& mark = string_of(separator, "split");
  if (mark.empty()) fail("split at an empty string");
  size_t begin = 0;
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, begin)) {
    parts.push_back(text.substr(begin, at - begin));
    begin = at + mark.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

Value items(const Value& subject) {
  if (!subject.is_object()) fail("items needs a mapping");
  Value pairs = Value::array();
  for (const auto& [key, value] : subject.items()) pairs.push_back(Value::array({key, value}));
  return pairs;
}

Value length(const Value& subject) {
  if (!subject.is_string()) return subject.size();
  const std::string& text = subject.get_ref<const std::string&>();
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

int64_t integer(const Value& value, const char* what) {
  if (!value.is_number_integer() && !value.is_boolean())
    fail(fmt::format("{} needs an integer", what));
  return value.is_boolean() ? value.get<bool>() : value.get<int64_t>();
}

// JSON with Python's separators: ", " and ": ".
std::string spaced(const Value& value) {
  std::string text;
  bool quoted = false;
  const std::string dense = value.dump(-1, ' ', false, Value::error_handler_t::replace);
  for (size_t i = 0; i < dense.size(); ++i) {
    text += dense[i];
    if (quoted && dense[i] == '\\') {
      text += dense[++i];
      continue;
    }
    if (dense[i] == '"') quoted = !quoted;
    if (!quoted && (dense[i] == ',' || dense[i] == ':')) text += ' ';
  }
  return text;
}

}  // namespace

Value undefined() { return Value(Value::value_t::discarded); }
bool is_undefined(const Value& value) { return value.is_discarded(); }

bool truthy(const Value& value) {
  if (is_undefined(value) || value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.empty();
}

std::string text_of(const Value& value) {
  if (is_undefined(value)) return "";
  if (value.is_null()) return "None";
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_string()) return value.get<std::string>();
  return spaced(value);
}

Value Arguments::get(size_t position, const char* name, Value fallback) const {
  if (position < positional.size()) return positional[position];
  const auto place = named.find(name);
  return place == named.end() ? fallback : place->second;
}

Value apply_filter(const std::string& name, const Value& subject, const Arguments& arguments) {
  if (name == "trim") return stripped(text_of(subject), true, true);
  if (name == "length" || name == "count") return length(subject);
  if (name == "upper" || name == "lower") return call_method(name, Value(text_of(subject)), {});
  if (name == "string") return text_of(subject);
  if (name == "list") return subject;
  if (name == "items") return items(subject);
  if (name == "int")
    return subject.is_string() ? Value(std::atoll(subject.get_ref<const std::string&>().c_str()))
                               : Value(integer(subject, "int"));
  if (name == "default" || name == "d") {
    const bool falsy = truthy(arguments.get(1, "boolean", false)) && !truthy(subject);
    return is_undefined(subject) || falsy ? arguments.get(0, "default_value", "") : subject;
  }
  if (name == "first" || name == "last") {
    if (!subject.is_array() || subject.empty()) return undefined();
    return name == "first" ? subject.front() : subject.back();
  }
  if (name == "join") {
    std::string text;
    const std::string mark = text_of(arguments.get(0, "d", ""));
    for (size_t i = 0; i < subject.size(); ++i) text += (i > 0 ? mark : "") + text_of(subject[i]);
    return text;
  }
  if (name == "replace") return call_method(name, subject, arguments);
  if (name == "tojson") {
    const Value indent = arguments.get(0, "indent", nullptr);
    if (indent.is_number_integer())
      return subject.dump(static_cast<int>(integer(indent, "indent")));
    return spaced(subject);
  }
  fail(fmt::format("the filter \"{}\" is not known", name));
}

Value call_method(const std::string& name, const Value& subject, const Arguments& arguments) {
  if (subject.is_object()) {
    if (name == "items") return items(subject);
    if (name == "get") {
      const Value key = arguments.get(0, "key", "");
      return subject.contains(text_of(key)) ? subject.at(text_of(key))
                                            : arguments.get(1, "default", nullptr);
    }
    if (name == "keys") {
      Value keys = Value::array();
      for (const auto& [key, value] : subject.items()) keys.push_back(key);
      return keys;
    }
    fail(fmt::format("a mapping has no method \"{}\"", name));
  }
  const std::string& text = string_of(subject, name.c_str());
  const Value argument = arguments.get(0, "", nullptr);
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const std::string set = argument.is_string() ? text_of(argument) : " \t\r\n\v\f";
    return stripped(text, name != "rstrip", name != "lstrip", set);
  }
  if (name == "startswith") return text.starts_with(string_of(argument, "startswith"));
  if (name == "endswith") return text.ends_with(string_of(argument, "endswith"));
  if (name == "split") return split(text, argument);
  if (name == "upper") return mapped(text, std::toupper);
  if (name == "lower") return mapped(text, std::tolower);
  if (name == "title" || name == "capitalize") {
    std::string result = mapped(text, std::tolower);
    for (size_t i = 0; i < result.size(); ++i) {
      const bool first =
          i == 0 || (name == "title" && !std::isalpha(static_cast<unsigned char>(result[i - 1])));
      if (first) result[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(result[i])));
    }
    return result;
  }
  if (name == "replace")
    return replaced(text, string_of(argument, "replace"),
                    string_of(arguments.get(1, "new", ""), "replace"));
  fail(fmt::format("a string has no method \"{}\"", name));
}

Value call_function(const std::string& name, const Arguments& arguments) {
  if (name == "raise_exception")
    throw InputError("chat template: " + text_of(arguments.get(0, "message", "")));
  if (name == "namespace" || name == "dict") {
    Value object = Value::object();
    for (const auto& [key, value] : arguments.named) object[key] = value;
    return object;
  }
  if (name == "range") {
    const Value first = arguments.get(0, "", 0), second = arguments.get(1, "", nullptr);
    const int64_t begin = second.is_null() ? 0 : integer(first, "range");
    const int64_t end = integer(second.is_null() ? first : second, "range");
    const int64_t step = integer(arguments.get(2, "", 1), "range");
    if (step == 0 || std::abs(static_cast<double>(end) - static_cast<double>(begin)) > kLargest)
      fail("range is too long");
    Value numbers = Value::array();
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) numbers.push_back(i);
    return numbers;
  }
  fail(fmt::format("the function \"{}\" is not known", name));
}

bool apply_test(const std::string& name, const Value& subject, const Arguments& arguments) {
  if (name == "defined") return !is_undefined(subject);
  if (name == "undefined") return is_undefined(subject);
  if (name == "none") return subject.is_null() && !is_undefined(subject);
  if (name == "string") return subject.is_string();
  if (name == "mapping") return subject.is_object();
  if (name == "number") return subject.is_number();
  if (name == "integer") return subject.is_number_integer();
  if (name == "boolean") return subject.is_boolean();
  if (name == "true" || name == "false")
    return subject.is_boolean() && subject.get<bool>() == (name == "true");
  if (name == "iterable" || name == "sequence")
    return subject.is_array() || subject.is_string() || (name == "iterable" && subject.is_object());
  if (name == "odd" || name == "even")
    return (integer(subject, name.c_str()) % 2 != 0) == (name == "odd");
  if (name == "equalto" || name == "eq") return subject == arguments.get(0, "", nullptr);
  if (name == "in") return contains(arguments.get(0, "", nullptr), subject);
  fail(fmt::format("the test \"{}\" is not known", name));
}

bool contains(const Value& container, const Value& element) {
  if (container.is_string())
    return text_of(container).find(string_of(element, "in")) != std::string::npos;
  if (container.is_object()) return element.is_string() && container.contains(text_of(element));
  return container.is_array() &&
         std::find(container.begin(), container.end(), element) != container.end();
}

Value binary(const std::string& sign, const Value& left, const Value& right) {
  if (sign == "==") return left == right;
  if (sign == "!=") return left != right;
  if (sign == "~") {
    std::string text = text_of(left) + text_of(right);
    if (text.size() > kLargest) fail("a text grows too long");
    return text;
  }
  if (sign == "+" && left.is_string() && right.is_string()) return binary("~", left, right);
  if (sign == "+" && left.is_array() && right.is_array()) {
    Value both = left;
    if (left.size() + right.size() > kLargest) fail("a list grows too long");
    both.insert(both.end(), right.begin(), right.end());
    return both;
  }
  if (left.is_string() && right.is_string()) {
    if (sign == "<") return left < right;
    if (sign == ">") return left > right;
  }
  const bool whole = !left.is_number_float() && !right.is_number_float();
  if (!(left.is_number() || left.is_boolean()) || !(right.is_number() || right.is_boolean())) {
    fail(fmt::format("\"{}\" between {} and {}", sign, left.type_name(), right.type_name()));
  }
  const double a = left.is_boolean() ? left.get<bool>() : left.get<double>();
  const double b = right.is_boolean() ? right.get<bool>() : right.get<double>();
  if (sign == "<") return a < b;
  if (sign == ">") return a > b;
  if (sign == "<=") return a <= b;
  if (sign == ">=") return a >= b;
  if ((sign == "/" || sign == "//" || sign == "%") && b == 0) fail("a division by zero");
  double result = 0;
  if (sign == "+") result = a + b;
  if (sign == "-") result = a - b;
  if (sign == "*") result = a * b;
  if (sign == "/") return a / b;
  if (sign == "//") result = std::floor(a / b);
  if (sign == "%") result = a - b * std::floor(a / b);
  if (!whole) return result;
  if (!(std::abs(result) < 0x1p53)) fail("a number grows too large");
  return static_cast<int64_t>(result);
}

Value item_of(const Value& subject, const Value& key) {
  if (subject.is_object() && key.is_string()) {
    const auto place = subject.find(key.get_ref<const std::string&>());
    return place == subject.end() ? undefined() : *place;
  }
  if ((subject.is_array() || subject.is_string()) && key.is_number_integer()) {
    const auto size =
        static_cast<int64_t>(subject.is_array() ? subject.size() : text_of(subject).size());
    const int64_t given = key.get<int64_t>(), index = given < 0 ? given + size : given;
    if (index < 0 || index >= size) return undefined();
    if (subject.is_array()) return subject[static_cast<size_t>(index)];
    return std::string(1, text_of(subject)[static_cast<size_t>(index)]);
  }
  if (is_undefined(subject)) fail(fmt::format("\"{}\" of something undefined", text_of(key)));
  return undefined();
}

Value slice_of(const Value& subject, const Value& begin, const Value& end, const Value& step) {
  if (!subject.is_array() && !subject.is_string()) fail("a slice needs a list or a string");
  const auto size =
      static_cast<int64_t>(subject.is_array() ? subject.size() : text_of(subject).size());
  const int64_t by = step.is_null() ? 1 : integer(step, "slice");
  if (by == 0) fail("a slice with step 0");
  const auto bound = [&](const Value& value, int64_t fallback) {
    if (value.is_null()) return fallback;
    const int64_t given = integer(value, "slice");
    return std::clamp(given < 0 ? given + size : given, by > 0 ? 0 : int64_t{-1},
                      by > 0 ? size : size - 1);
  };
  Value list = Value::array();
  std::string text;
  const int64_t last = bound(end, by > 0 ? size : -1);
  for (int64_t i = bound(begin, by > 0 ? 0 : size - 1); by > 0 ? i < last : i > last; i += by) {
    if (subject.is_array())
      list.push_back(subject[static_cast<size_t>(i)]);
    else
      text += text_of(subject)[static_cast<size_t>(i)];
  }
  return subject.is_array() ? list : Value(text);
}

}  // namespace octet::jinja
