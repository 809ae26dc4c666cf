// Models by name: the configurations that papers and published checkpoints give, for runs with
// dummy weights and for planning.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

// config.json of the preset ("gpt3-175b"); nullopt: none of that name.
std::optional<nlohmann::json> preset_config(std::string_view name);
std::vector<std::string_view> preset_names();

}  // namespace octet
