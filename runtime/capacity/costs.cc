#include "runtime/capacity/costs.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

double price(const nlohmann::json& value, const std::string& source, const std::string& field) {
  if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= 1e9)) {
    throw InputError(
        fmt::format("{}: {}: is not a number from 0 to 1e9", source, printable(field)));
  }
  return value.get<double>();
}

}  // namespace

Costs load_costs(const std::string& file) {
  const std::string source = file.empty() ? "costs" : file;
  const nlohmann::json json =
      file.empty() ? parse_json(built_in_text("costs"), source) : read_json_file(file);
  if (!json.is_object()) throw InputError(source + ": not a JSON object");
  Costs costs;
  for (const auto& [key, value] : json.items()) {
    if (key == "note") continue;
    if (key == "currency" && value.is_string()) {
      costs.currency = escaped(value.get<std::string>());
    } else if (key == "kilowatt_hour") {
      costs.kilowatt_hour = price(value, source, key);
    } else if (key == "power_overhead") {
      costs.power_overhead = price(value, source, key);
    } else if (key == "device_hour" && value.is_object()) {
      for (const auto& [name, of_device] : value.items()) {
        costs.device_hour[name] = price(of_device, source, "device_hour." + name);
      }
    } else {
      throw InputError(fmt::format(
          "{}: {}: is not a field of costs; those are currency, kilowatt_hour, power_overhead, "
          "device_hour, note",
          source, printable(key)));
    }
  }
  return costs;
}

Bill bill_of(const HardwareProfile& hardware, const Costs& costs, int ranks,
             double tokens_per_second) {
  Bill bill;
  const double devices = hardware.fact_or("devices_per_node", hardware.ranks_per_node);
  const double nodes = ranks / devices;
  bill.kilowatts = nodes * hardware.fact_or("node_power", 0) / 1000;
  const auto found = costs.device_hour.find(hardware.name);
  const double device_hour = found == costs.device_hour.end() ? 0 : found->second;
  bill.hour = ranks * device_hour + bill.kilowatts * costs.power_overhead * costs.kilowatt_hour;
  if (tokens_per_second > 0) bill.million_tokens = bill.hour / (tokens_per_second * 3600) * 1e6;
  return bill;
}

}  // namespace octet
