#include "runtime/bench/result_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "runtime/formats/file.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

// Devices and pipes; and what this program's own output goes to, whose end a new file would not be.
bool written_as_it_is(const fs::path& path) {
  std::error_code error;
  const auto kind = fs::status(path, error).type();
  if (kind == fs::file_type::not_found) return false;
  if (kind != fs::file_type::regular) return true;
  return fs::equivalent(path, "/proc/self/fd/1", error) ||
         fs::equivalent(path, "/proc/self/fd/2", error);
}

// Where links lead, though nothing be there yet. REQUIRES: they lead somewhere.
fs::path behind_links(fs::path path) {
  while (fs::is_symlink(fs::symlink_status(path))) {
    path = path.parent_path() / fs::read_symlink(path);
  }
  return path;
}

}  // namespace

void replace_text_file(const fs::path& path, std::string_view text) {
  if (written_as_it_is(path)) {
    errno = 0;
    std::ofstream out(path, std::ios::app);
    if (out << text << std::flush) return;
    const int why = errno;
    throw InputError(fmt::format("{}: write: {}", path.string(), std::strerror(why)),
                     why == ENOSPC ? ErrorCode::kResourceExhausted : ErrorCode::kInvalidArgument);
  }
  const fs::path file = behind_links(path);
  fs::path beside = file;
  beside += ".partial";
  std::error_code error;
  try {
    write_text_file(beside, text);
    fs::rename(beside, file, error);
    if (error) throw InputError(fmt::format("{}: rename: {}", path.string(), error.message()));
  } catch (const InputError&) {
    fs::remove(beside, error);
    throw;
  }
}

}  // namespace octet
