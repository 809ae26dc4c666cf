// Values of a chat template: JSON, with Python's idea of truth and text. `undefined` is a value of
// its own.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace octet::jinja {

using Value = nlohmann::ordered_json;

Value undefined();
bool is_undefined(const Value& value);
bool truthy(const Value& value);
std::string text_of(const Value& value);  // as {{ value }} prints it

// What a call of a filter, a method or a function gets besides its subject.
struct Arguments {
  std::vector<Value> positional;
  std::map<std::string, Value> named;

  Value get(size_t position, const char* name, Value fallback) const;
};

// All throw InputError for an unknown name or unfit arguments.
Value apply_filter(const std::string& name, const Value& subject, const Arguments& arguments);
Value call_method(const std::string& name, const Value& subject, const Arguments& arguments);
Value call_function(const std::string& name, const Arguments& arguments);
bool apply_test(const std::string& name, const Value& subject, const Arguments& arguments);
Value binary(const std::string& sign, const Value& left, const Value& right);
Value item_of(const Value& subject, const Value& key);
Value slice_of(const Value& subject, const Value& begin, const Value& end, const Value& step);
bool contains(const Value& container, const Value& element);

}  // namespace octet::jinja
