#include "runtime/tokenizer/json_part.h"

#include <fmt/format.h>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {

using nlohmann::json;

JsonPart::JsonPart(std::string where, const json& value) : where_(std::move(where)), value_(value) {
  if (!value_.is_object() && !value_.is_null()) fail("is not an object");
}

bool JsonPart::has(const char* field) {
  asked_.insert(field);
  return value_.is_object() && value_.contains(field) && !value_[field].is_null();
}

bool JsonPart::flag(const char* field, bool otherwise) {
  if (!has(field)) return otherwise;
  if (!value_[field].is_boolean()) fail_field(field, "is neither true nor false");
  return value_[field].get<bool>();
}

int64_t JsonPart::integer(const char* field) {
  if (!value(field).is_number_integer()) fail_field(field, "is no integer");
  return value_[field].get<int64_t>();
}

std::string JsonPart::text(const char* field) {
  if (!value(field).is_string()) fail_field(field, "is no string");
  return value_[field].get<std::string>();
}

std::string JsonPart::text(const char* field, const std::string& otherwise) {
  return has(field) ? text(field) : otherwise;
}

const json& JsonPart::value(const char* field) {
  if (!has(field)) fail_field(field, "is missing");
  return value_[field];
}

JsonPart JsonPart::object(const char* field) {
  static const json kNull;
  return {path_of(field), has(field) ? value_[field] : kNull};
}

std::vector<JsonPart> JsonPart::list(const char* field) {
  if (!value(field).is_array()) fail_field(field, "is no array");
  std::vector<JsonPart> parts;
  for (const json& entry : value_[field]) {
    parts.emplace_back(fmt::format("{}[{}]", path_of(field), parts.size()), entry);
  }
  return parts;
}

void JsonPart::ignore(std::initializer_list<const char*> fields) {
  for (const char* field : fields) asked_.insert(field);
}

std::string JsonPart::path_of(const char* field) const {
  return fmt::format("{}{}{}", where_, where_.ends_with(':') ? " " : ".", field);
}

void JsonPart::done() const {
  if (value_.is_null()) return;
  for (const auto& [field, value] : value_.items()) {
    if (!asked_.contains(field)) {
      fail(fmt::format("has the field {}, which is not understood", printable(field)));
    }
  }
}

void JsonPart::fail(const std::string& what) const {
  throw InputError(fmt::format("{} {}", where_, what));
}

void JsonPart::fail_field(const char* field, const std::string& what) const {
  throw InputError(fmt::format("{} {}", path_of(field), what));
}

}  // namespace octet
