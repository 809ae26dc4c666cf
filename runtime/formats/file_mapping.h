// A file as memory, and what happens when it is cut short while it is that: one line naming it, and
// the process ends with code 2, a wrong file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace octet {

// The first `size` bytes, read-only, until the last copy of the result is gone; null: the file
// system cannot. The first call installs a handler of SIGBUS, which leaves every other cause of
// that signal to the handler before it. Any thread.
std::shared_ptr<const std::byte> map_file(int descriptor, uint64_t size,
                                          const std::filesystem::path& path);

}  // namespace octet
