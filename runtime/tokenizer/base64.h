// Base64 (RFC 4648). Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace octet {

// Throws InputError beginning with `where`.
std::string decode_base64(std::string_view text, const std::string& where);

}  // namespace octet
