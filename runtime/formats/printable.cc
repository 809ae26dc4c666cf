#include "runtime/formats/printable.h"

#include <fmt/format.h>

#include <iterator>

namespace octet {

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    }
  }
  return out;
}

std::string printable(std::string_view text) {
  constexpr size_t kMaxBytes = 80;
  return fmt::format("'{}{}'", escaped(text.substr(0, kMaxBytes)),
                     text.size() > kMaxBytes ? "..." : "");
}

}  // namespace octet
