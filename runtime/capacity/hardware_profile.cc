#include "runtime/capacity/hardware_profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "runtime/capacity/built_in_profiles.h"
#include "runtime/capacity/profile_fields.h"
#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr int kMaxRanks = 4096;
constexpr size_t kMaxPoints = 100'000;

class Reader {
 public:
  Reader(const json& value, std::string source) : json_(value), source_(std::move(source)) {}

  [[noreturn]] void fail(const std::string& field, const std::string& what) const {
    throw InputError(fmt::format("{}: {}: {}", source_, field, what));
  }

  const json& member(const json& in, const char* key, const std::string& where) const {
    if (!in.is_object()) fail(where, "is not an object");
    const auto found = in.find(key);
    if (found == in.end()) fail(where.empty() ? key : where + "." + key, "is missing");
    return *found;
  }

  std::string text(const json& in, const char* key, const std::string& where) const {
    const json& value = member(in, key, where);
    if (!value.is_string() || value.get_ref<const std::string&>().size() > 1000) {
      fail(where.empty() ? key : where + "." + key, "is not a string of at most 1000 characters");
    }
    return escaped(value.get<std::string>());
  }

  double number(const json& value, const std::string& where, double low, double high) const {
    if (!value.is_number()) fail(where, "is not a number");
    const double number = value.get<double>();
    if (!(number >= low && number <= high)) {
      fail(where, fmt::format("is {}, must be from {} to {}", number, low, high));
    }
    return number;
  }

  int count(const json& value, const std::string& where, int high) const {
    const double whole = number(value, where, 1, high);
    if (whole != std::floor(whole)) fail(where, fmt::format("is {}, not a whole number", whole));
    return static_cast<int>(whole);
  }

  std::vector<double> numbers(const json& value, const std::string& where, double low) const {
    if (!value.is_array() || value.empty() || value.size() > kMaxPoints) {
      fail(where, fmt::format("is not a list of 1 to {} numbers", kMaxPoints));
    }
    std::vector<double> all;
    for (const json& element : value) all.push_back(number(element, where, low, 1e18));
    return all;
  }

  ProfileTable table(const json& value, const std::string& where) const {
    std::vector<GridAxis> axes;
    const json& listed = member(value, "axes", where);
    if (!listed.is_array() || listed.size() > 6) fail(where + ".axes", "is not a list of up to 6");
    size_t points = 1;
    for (size_t i = 0; i < listed.size(); ++i) {
      const std::string at = fmt::format("{}.axes[{}]", where, i);
      axes.push_back(
          {text(listed[i], "name", at), numbers(member(listed[i], "at", at), at + ".at", 0)});
      const std::vector<double>& values = axes.back().at;
      if (std::adjacent_find(values.begin(), values.end(), std::greater_equal<>()) !=
          values.end()) {
        fail(at + ".at", "does not ascend");
      }
      points *= values.size();
      if (points > kMaxPoints) fail(where, fmt::format("has more than {} points", kMaxPoints));
    }
    std::vector<double> values = numbers(member(value, "values", where), where + ".values", 0);
    if (values.size() != points) {
      fail(where + ".values", fmt::format("has {} values for {} points", values.size(), points));
    }
    return {.operation = text(value, "operation", where),
            .ranks = count(member(value, "ranks", where), where + ".ranks", kMaxRanks),
            .grid = Grid(std::move(axes), std::move(values)),
            .source = text(value, "source", where)};
  }

  HardwareProfile profile() const {
    if (!json_.is_object()) throw InputError(source_ + ": not a JSON object");
    const int version = count(member(json_, "octet_hardware", ""), "octet_hardware", 1'000'000);
    if (version != HardwareProfile::kVersion) {
      fail("octet_hardware", fmt::format("is version {}, this program reads version {}", version,
                                         HardwareProfile::kVersion));
    }
    for (const auto& [name, value] : json_.items()) require_known_field(escaped(name), source_);
    HardwareProfile profile;
    profile.name = text(json_, "name", "");
    if (profile.name.empty()) fail("name", "is empty");
    profile.description = text(json_, "description", "");
    profile.device = text(json_, "device", "");
    require_known_device(profile.device, source_ + ": device");
    profile.ranks_per_node =
        count(member(json_, "ranks_per_node", ""), "ranks_per_node", kMaxRanks);
    const json& facts = member(json_, "facts", "");
    if (!facts.is_object()) fail("facts", "is not an object");
    for (const auto& [name, value] : facts.items()) {
      const std::string where = "facts." + escaped(name);
      const FactRange range = fact_range(escaped(name), source_ + ": facts");
      profile.facts[name] = {number(member(value, "value", where), where, range.least, range.most),
                             text(value, "source", where)};
    }
    if (profile.fact_or("reserved_bytes", 0) > profile.fact_or("memory_bytes", 1e18)) {
      fail("facts.reserved_bytes",
           fmt::format("is {}, more than memory_bytes {}", profile.fact("reserved_bytes"),
                       profile.fact("memory_bytes")));
    }
    const json& tables = member(json_, "tables", "");
    if (!tables.is_array() || tables.size() > 1000) fail("tables", "is not a list of up to 1000");
    for (size_t i = 0; i < tables.size(); ++i) {
      const std::string where = fmt::format("tables[{}]", i);
      ProfileTable next = table(tables[i], where);
      require_known_table(next, fmt::format("{}: {}", source_, where));
      const auto same = [&](const ProfileTable& other) {
        return other.operation == next.operation && other.ranks == next.ranks;
      };
      if (std::ranges::any_of(profile.tables, same)) {
        fail(where, fmt::format("is {} at {} ranks once more", next.operation, next.ranks));
      }
      profile.tables.push_back(std::move(next));
    }
    return profile;
  }

 private:
  const json& json_;
  std::string source_;
};

}  // namespace

double HardwareProfile::fact(std::string_view fact_name) const {
  const auto found = facts.find(fact_name);
  if (found == facts.end()) {
    throw InputError(fmt::format("hardware {}: has no fact {}", name, fact_name));
  }
  return found->second.value;
}

double HardwareProfile::fact_or(std::string_view fact_name, double fallback) const {
  const auto found = facts.find(fact_name);
  return found == facts.end() ? fallback : found->second.value;
}

const ProfileTable* HardwareProfile::find(std::string_view operation, int ranks) const {
  const ProfileTable* best = nullptr;
  for (const ProfileTable& table : tables) {
    if (table.operation != operation) continue;
    if (best == nullptr || std::abs(table.ranks - ranks) < std::abs(best->ranks - ranks)) {
      best = &table;
    }
  }
  return best;
}

HardwareProfile parse_profile(const json& value, const std::string& source) {
  return Reader(value, source).profile();
}

json to_json(const HardwareProfile& profile) {
  json facts = json::object();
  for (const auto& [name, fact] : profile.facts) {
    facts[name] = {{"value", fact.value}, {"source", fact.source}};
  }
  json tables = json::array();
  for (const ProfileTable& table : profile.tables) {
    json axes = json::array();
    for (const GridAxis& axis : table.grid.axes()) {
      axes.push_back({{"name", axis.name}, {"at", axis.at}});
    }
    tables.push_back({{"operation", table.operation},
                      {"ranks", table.ranks},
                      {"axes", axes},
                      {"values", table.grid.values()},
                      {"source", table.source}});
  }
  return {{"octet_hardware", HardwareProfile::kVersion},
          {"name", profile.name},
          {"description", profile.description},
          {"device", profile.device},
          {"ranks_per_node", profile.ranks_per_node},
          {"facts", facts},
          {"tables", tables}};
}

std::string_view built_in_text(std::string_view name) {
  for (const BuiltInProfile& built_in : kBuiltInProfiles) {
    if (built_in.name == name) return built_in.text;
  }
  return {};
}

std::vector<std::string_view> built_in_profiles() {
  std::vector<std::string_view> names;
  for (const BuiltInProfile& built_in : kBuiltInProfiles) {
    if (built_in.name != "costs") names.push_back(built_in.name);
  }
  return names;
}

HardwareProfile load_profile(const std::string& name_or_file) {
  const std::string_view text = built_in_text(name_or_file);
  if (!text.empty() && name_or_file != "costs") {
    return parse_profile(parse_json(text, name_or_file), name_or_file);
  }
  if (!std::filesystem::is_regular_file(name_or_file)) {
    throw InputError(fmt::format("{}: neither a hardware profile's file nor one of {}",
                                 name_or_file, fmt::join(built_in_profiles(), ", ")),
                     ErrorCode::kNotFound);
  }
  return parse_profile(read_json_file(name_or_file), name_or_file);
}

}  // namespace octet
