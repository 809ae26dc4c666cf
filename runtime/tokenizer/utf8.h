// UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace octet {

// Bytes of the character at the start of `text`: 1 to 4; 0 where it is malformed or cut off.
size_t utf8_length(std::string_view text);

// Could `text` (1 to 3 bytes) be the beginning of a character whose rest is still to come?
bool utf8_incomplete(std::string_view text);

// Throws InputError naming the byte offset of the first malformed character.
void require_utf8(std::string_view text);

// The whole characters at the start of `bytes`, taken out of it; what is none as U+FFFD, one for
// each longest beginning of a character (Unicode's "maximal subparts").
// What may yet become a character stays, unless `final`.
std::string take_utf8(std::string& bytes, bool final);

}  // namespace octet
