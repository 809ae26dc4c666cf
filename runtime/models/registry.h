// The model families: one row each. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/models/family.h"

namespace octet {

// Throws InputError naming `source`, the model_type and those known.
const Family& find_family(const std::string& model_type, const std::string& source);
std::vector<std::string_view> known_families();

}  // namespace octet
