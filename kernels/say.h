// Words for whoever watches, on stderr. What stderr does not take is lost: no throw, and no exit
// code changes for it. Any thread.
#pragma once

#include <fmt/format.h>

#include <new>
#include <string_view>
#include <utility>

namespace octet {

void say_text(std::string_view text) noexcept;

template <typename... Args>
void say(fmt::format_string<Args...> format, Args&&... args) noexcept {
  try {
    say_text(fmt::format(format, std::forward<Args>(args)...));
  } catch (const std::bad_alloc&) {
    say_text("out of memory\n");
  }
}

}  // namespace octet
