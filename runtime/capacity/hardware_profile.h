// HardwareProfile: what a kind of machine can do, as facts and as tables of what was measured, each
// with its source. Published ones are built in (runtime/capacity/hardware/); `octet profile` writes
// one of the machine at hand. docs/capacity.md says the format.
//
// Files are hostile: every number is checked before use. Errors: InputError naming the file, the
// field and the value.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/capacity/grid.h"

namespace octet {

struct Fact {
  double value = 0;
  std::string source;
};

// A measured operation, for ranks that share a node with so many others.
struct ProfileTable {
  std::string operation;  // "linear.column"
  int ranks = 1;
  Grid grid;
  std::string source;
};

struct HardwareProfile {
  static constexpr int kVersion = 1;

  std::string name, description;
  std::string device;  // "cpu", "cuda": whose layouts and memory; "network": between nodes only
  int ranks_per_node = 1;
  std::map<std::string, Fact, std::less<>> facts;  // by the names below
  std::vector<ProfileTable> tables;

  // Throws InputError when the profile lacks it.
  double fact(std::string_view name) const;
  double fact_or(std::string_view name, double fallback) const;

  // Of this operation, at this many ranks or at the number nearest to it; nullptr: none.
  const ProfileTable* find(std::string_view operation, int ranks) const;
};

// `source`: for messages. Throws InputError.
HardwareProfile parse_profile(const nlohmann::json& json, const std::string& source);
nlohmann::json to_json(const HardwareProfile& profile);

// A built-in profile's name ("h200"), or a file. Throws InputError.
HardwareProfile load_profile(const std::string& name_or_file);
std::vector<std::string_view> built_in_profiles();
std::string_view built_in_text(std::string_view name);  // empty: none of that name

}  // namespace octet
