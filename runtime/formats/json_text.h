// JSON from hostile files: bounded depth, no key twice in one object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace octet {

// Throws InputError naming `source`: not JSON (with the byte), deeper than 32, a key that appears
// twice.
nlohmann::json parse_json(std::string_view text, const std::string& source);

// A whole file, of at most max_bytes.
nlohmann::json read_json_file(const std::filesystem::path& path, uint64_t max_bytes = 64 << 20);

}  // namespace octet
