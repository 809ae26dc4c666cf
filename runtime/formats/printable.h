// Names from hostile files, made fit for a one-line message.
#pragma once

#include <string>
#include <string_view>

namespace octet {

// 'text' in single quotes; bytes outside printable ASCII as \xNN; cut, with "...", after 80 bytes.
std::string printable(std::string_view text);

}  // namespace octet
