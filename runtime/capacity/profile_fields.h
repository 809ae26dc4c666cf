// What a hardware profile may say: its fields, facts and tables by name, and the facts' ranges.
#pragma once

#include <string>
#include <string_view>

#include "runtime/capacity/hardware_profile.h"

namespace octet {

struct FactRange {
  double least = 0, most = 0;
};

// Each throws InputError, naming `where` and those that are known, for a name that is not.
FactRange fact_range(std::string_view name, const std::string& where);
void require_known_field(std::string_view name, const std::string& where);
void require_known_device(std::string_view device, const std::string& where);
void require_known_table(const ProfileTable& table, const std::string& where);

}  // namespace octet
