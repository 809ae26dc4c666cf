#include "runtime/bench/result_file.h"

#include <fmt/format.h>

#include <fstream>

#include "runtime/formats/file.h"
#include "runtime/request/error.h"

namespace octet {

void replace_text_file(const std::filesystem::path& path, std::string_view text) {
  std::error_code error;
  const auto kind = std::filesystem::status(path, error).type();
  if (kind == std::filesystem::file_type::regular) {
    const std::filesystem::path file = std::filesystem::canonical(path, error);
    if (!error && file != path) return replace_text_file(file, text);
  } else if (kind != std::filesystem::file_type::not_found) {
    std::ofstream out(path);
    if (!(out << text << std::flush)) {
      throw InputError(fmt::format("{}: cannot be written", path.string()));
    }
    return;
  }
  std::filesystem::path beside = path;
  beside += ".partial";
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
