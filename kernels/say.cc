#include "kernels/say.h"

#include <cstdio>

namespace octet {

void say_text(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace octet
