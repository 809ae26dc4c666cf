// ConfigFields: typed reads of a model's config.json. Borrows the JSON; one thread.
//
// Errors: InputError naming the file, the field and the value.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace octet {

class ConfigFields {
 public:
  static constexpr int kMaxExtent = 1 << 24;  // of any one dimension

  // `source`: the file, for messages. Throws InputError: not an object.
  ConfigFields(const nlohmann::json& config, std::string source);

  [[noreturn]] void fail(const char* key, const std::string& what) const;

  const nlohmann::json* find(const char* key) const;  // nullptr: missing or null
  const char* first_of(
      std::initializer_list<const char*> keys) const;  // the first that is there, else the first

  int extent(const char* key, int max = kMaxExtent) const;  // from 1 to max
  int extent_or(const char* key, int fallback) const;
  int64_t integer(const char* key, const nlohmann::json& value, int64_t min, int64_t max) const;
  int count_or(const char* key, int fallback) const;  // from 0
  double positive_or(const char* key, double fallback, double max) const;
  double positive(const char* key, double max) const;
  bool boolean_or(const char* key, bool fallback) const;
  std::string string_or(const char* key, std::string fallback) const;
  std::vector<int32_t> ids(const char* key, int vocab_size) const;  // a number, a list, or none

  // Throws InputError unless the field is missing or has this value: what is not built is refused,
  // never ignored.
  void require(const char* key, const nlohmann::json& value) const;

 private:
  static std::string shown(const nlohmann::json& value);

  const nlohmann::json& config_;
  std::string source_;
};

}  // namespace octet
