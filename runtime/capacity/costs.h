// Costs: prices by hardware, from a small file that everybody edits; and what a cluster then costs.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "runtime/capacity/hardware_profile.h"

namespace octet {

struct Costs {
  std::string currency = "USD";
  double kilowatt_hour = 0;                        // of electricity
  double power_overhead = 1;                       // of the building: watts drawn for a watt used
  std::map<std::string, double> device_hour = {};  // by a profile's name, electricity not included
};

// Empty path: the built-in file. Throws InputError naming the file and the field.
Costs load_costs(const std::string& file);

struct Bill {
  double kilowatts = 0;
  double hour = 0;            // in the currency, devices and electricity
  double million_tokens = 0;  // generated
};

Bill bill_of(const HardwareProfile& hardware, const Costs& costs, int ranks,
             double tokens_per_second);

}  // namespace octet
