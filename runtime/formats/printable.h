// Names from hostile files, made fit for one line on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace octet {

std::string escaped(std::string_view text);  // bytes outside printable ASCII as \xNN
std::string printable(
    std::string_view text);  // escaped, in single quotes; cut, with "...", after 80 bytes

}  // namespace octet
