// The files of runtime/capacity/hardware/, put into the program by CMake.
#pragma once

#include <span>
#include <string_view>

namespace octet {

struct BuiltInProfile {
  std::string_view name;  // the file's, without .json
  std::string_view text;
};

extern const std::span<const BuiltInProfile> kBuiltInProfiles;

}  // namespace octet
