// Files of results: whole, or as they were before.
#pragma once

#include <filesystem>
#include <string_view>

namespace octet {

// Written beside the file that `path` leads to, synced, then renamed; a device or a pipe is written
// as it is. Throws InputError naming the file; what was half written is gone.
void replace_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace octet
