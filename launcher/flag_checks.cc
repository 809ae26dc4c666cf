#include "launcher/flag_checks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>

#include "runtime/request/error.h"

namespace octet {
namespace {

CLI::Validator number(double low, double high, const std::string& rule, const std::string& name) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        double value = 0;
        const bool parsed = CLI::detail::lexical_cast(text, value);
        if (parsed && std::isfinite(value) && value >= low && value <= high) return "";
        return fmt::format("is {}, must be a number {}", text, rule);
      },
      name);
}

}  // namespace

CLI::Validator non_negative() {
  return number(0, std::numeric_limits<float>::max(), "of 0 or more", "NUMBER>=0");
}

CLI::Validator positive() {
  return number(std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max(),
                "above 0", "NUMBER>0");
}

CLI::Validator between(double low, double high) {
  return number(low, high, fmt::format("from {} to {}", low, high),
                fmt::format("FROM {} TO {}", low, high));
}

CLI::Validator whole_number(uint64_t most) {
  return CLI::Validator(
      [most](std::string& text) -> std::string {
        uint64_t value = 0;
        const char* end = text.data() + text.size();
        const auto [at, error] = std::from_chars(text.data(), end, value);
        if (error == std::errc() && at == end && value <= most) return "";
        return fmt::format("is {}, must be a whole number from 0 to {}", text, most);
      },
      "WHOLE NUMBER");
}

CLI::Validator not_empty() {
  return CLI::Validator(
      [](std::string& text) -> std::string { return text.empty() ? "is empty" : ""; }, "");
}

void require_writable(const std::string& file) {
  if (file.empty()) return;
  namespace fs = std::filesystem;
  std::error_code unknown;
  const bool is_there = fs::exists(file, unknown);
  fs::path asked = is_there ? fs::path(file) : fs::path(file).parent_path();
  if (asked.empty()) asked = ".";
  const bool fits = fs::is_directory(asked, unknown) != is_there;  // a file, or a folder for it
  if (!fits || ::access(asked.c_str(), W_OK) != 0) {
    throw InputError(fmt::format("{}: cannot be written", file));
  }
}

}  // namespace octet
