// The project's version. A leader and its coordinator must be of the same one.
#pragma once

#include <string>

namespace octet {

std::string octet_version();  // "0.1.0"

}  // namespace octet
