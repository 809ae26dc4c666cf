#include "runtime/weights/config_fields.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {

using nlohmann::json;

ConfigFields::ConfigFields(const json& config, std::string source)
    : config_(config), source_(std::move(source)) {
  if (!config.is_object()) throw InputError(source_ + ": not a JSON object");
}

void ConfigFields::fail(const char* key, const std::string& what) const {
  throw InputError(fmt::format("{}: {} {}", source_, key, what));
}

std::string ConfigFields::shown(const json& value) {
  return printable(value.is_structured() ? value.type_name() : value.dump());
}

const json* ConfigFields::find(const char* key) const {
  const auto found = config_.find(key);
  return found == config_.end() || found->is_null() ? nullptr : &*found;
}

const char* ConfigFields::first_of(std::initializer_list<const char*> keys) const {
  for (const char* key : keys) {
    if (find(key) != nullptr) return key;
  }
  return *keys.begin();
}

int ConfigFields::extent(const char* key, int max) const {
  const json* value = find(key);
  if (value == nullptr) fail(key, "is missing");
  return static_cast<int>(integer(key, *value, 1, max));
}

int ConfigFields::extent_or(const char* key, int fallback) const {
  return find(key) != nullptr ? extent(key) : fallback;
}

int ConfigFields::count_or(const char* key, int fallback) const {
  const json* value = find(key);
  return value != nullptr ? static_cast<int>(integer(key, *value, 0, kMaxExtent)) : fallback;
}

int64_t ConfigFields::integer(const char* key, const json& value, int64_t min, int64_t max) const {
  if (!value.is_number_integer()) fail(key, "is not an integer: " + shown(value));
  const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX};
  if (huge || value.get<int64_t>() < min || value.get<int64_t>() > max) {
    fail(key, fmt::format("is {}, not in [{}, {}]", shown(value), min, max));
  }
  return value.get<int64_t>();
}

double ConfigFields::positive_or(const char* key, double fallback, double max) const {
  return find(key) != nullptr ? positive(key, max) : fallback;
}

double ConfigFields::positive(const char* key, double max) const {
  const json* value = find(key);
  if (value == nullptr) fail(key, "is missing");
  if (!value->is_number()) fail(key, "is not a number: " + shown(*value));
  const double number = value->get<double>();
  if (!(number > 0 && number <= max)) fail(key, fmt::format("is {}, not in (0, {}]", number, max));
  return number;
}

bool ConfigFields::boolean_or(const char* key, bool fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) fail(key, "is not true or false: " + shown(*value));
  return value->get<bool>();
}

std::string ConfigFields::string_or(const char* key, std::string fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) fail(key, "is not a string: " + shown(*value));
  return value->get<std::string>();
}

std::vector<int32_t> ConfigFields::ids(const char* key, int vocab_size) const {
  std::vector<int32_t> ids;
  const auto add = [&](const json& id) {
    ids.push_back(static_cast<int32_t>(integer(key, id, 0, vocab_size - 1)));
  };
  if (const json* value = find(key)) {
    if (value->is_array()) {
      for (const json& id : *value) add(id);
    } else {
      add(*value);
    }
  }
  return ids;
}

void ConfigFields::require(const char* key, const json& value) const {
  const json* found = find(key);
  if (found != nullptr && *found != value) {
    fail(key, fmt::format("is {}; only {} is supported", shown(*found), shown(value)));
  }
}

}  // namespace octet
