#include "runtime/formats/printable.h"

#include <fmt/format.h>

#include <iterator>

namespace octet {

std::string printable(std::string_view text) {
  constexpr size_t kMaxBytes = 80;
  std::string out = "'";
  for (char c : text.substr(0, kMaxBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    }
  }
  return out + (text.size() > kMaxBytes ? "...'" : "'");
}

}  // namespace octet
