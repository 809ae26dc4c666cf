// Models by name: the configurations that papers and published checkpoints give, for runs with
// dummy weights and for planning.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

// config.json of the preset ("gpt3-175b"); nullopt: none of that name.
std::optional<nlohmann::json> preset_config(std::string_view name);
std::vector<std::string_view> preset_names();

bool is_preset(const std::filesystem::path& path);  // and no file or folder of that name is there

// Throws InputError where `path` is a preset: it has no files.
void require_files(const std::filesystem::path& path);

}  // namespace octet
