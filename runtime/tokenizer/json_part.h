// JsonPart: one object of tokenizer.json, read field by field; a field that nobody asked for is
// refused, so nothing is passed over. One thread.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace octet {

class JsonPart {
 public:
  // value: borrowed; an object, or null with no fields. where: "<file>:" or "<file>: <field>".
  JsonPart(std::string where, const nlohmann::json& value);

  bool has(const char* field);  // there and not null
  bool flag(const char* field, bool otherwise);
  int64_t integer(const char* field);
  std::string text(const char* field);
  std::string text(const char* field, const std::string& otherwise);
  const nlohmann::json& value(const char* field);  // of any type
  JsonPart object(const char* field);              // absent: null
  std::vector<JsonPart> list(const char* field);   // of objects
  void ignore(std::initializer_list<const char*> fields);

  const std::string& where() const { return where_; }
  bool is_null() const { return value_.is_null(); }
  std::string type() { return text("type", ""); }

  void done() const;                                      // throws when a field was not asked for
  [[noreturn]] void fail(const std::string& what) const;  // "<where> <what>"
  [[noreturn]] void fail_field(const char* field, const std::string& what) const;

 private:
  std::string path_of(const char* field) const;

  std::string where_;
  const nlohmann::json& value_;
  std::set<std::string> asked_;
};

}  // namespace octet
