// Words for whoever watches, on stderr. What stderr does not take is lost: no throw, and no exit
// code changes for it. Any thread.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace octet {

void say_text(std::string_view text) noexcept;

template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  say_text(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace octet
