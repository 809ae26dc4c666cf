// Files of results: whole, or as they were before.
#pragma once

#include <filesystem>
#include <string_view>

namespace octet {

// Written beside the file that `path` leads to, synced, then renamed; a device, a pipe and
// this program's own output get it as they are. Throws InputError naming the file; what was half
// written is gone.
void replace_text_file(const std::filesystem::path& path, std::string_view text);

}  // namespace octet
