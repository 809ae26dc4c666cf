#include "runtime/weights/module_names.h"

#include <fmt/format.h>

#include <charconv>

namespace octet {

std::string full_name(std::string_view name, int layer) {
  return layer < 0 ? std::string(name) : fmt::format("model.layers.{}.{}", layer, name);
}

std::optional<int> match_layer(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text ? std::optional(-1) : std::nullopt;
  const std::string_view before = pattern.substr(0, star), after = pattern.substr(star + 1);
  if (text.size() <= before.size() + after.size() || !text.starts_with(before) ||
      !text.ends_with(after)) {
    return std::nullopt;
  }
  const std::string_view digits =
      text.substr(before.size(), text.size() - before.size() - after.size());
  int layer = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  const bool canonical = digits.size() == 1 || digits[0] != '0';
  return whole && canonical && layer >= 0 ? std::optional(layer) : std::nullopt;
}

}  // namespace octet
