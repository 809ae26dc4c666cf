#include "runtime/bench/result_file.h"

#include <fmt/format.h>

#include "runtime/formats/file.h"
#include "runtime/request/error.h"

namespace octet {

void replace_text_file(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::path beside = path;
  beside += ".partial";
  std::error_code error;
  try {
    write_text_file(beside, text);
  } catch (const InputError&) {
    std::filesystem::remove(beside, error);
    throw;
  }
  std::filesystem::rename(beside, path, error);
  if (error) throw InputError(fmt::format("{}: rename: {}", path.string(), error.message()));
}

}  // namespace octet
