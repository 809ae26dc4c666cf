#include "runtime/capacity/profile_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <vector>

#include "runtime/request/error.h"

namespace octet {
namespace {

struct KnownFact {
  std::string_view name;
  FactRange range;
};

struct KnownTable {
  std::string_view name;
  std::vector<std::string_view> axes;
};

constexpr double kMost = 1e18, kMostSeconds = 1e3;

constexpr KnownFact kFacts[] = {
    {"memory_bytes", {1, kMost}},            // of one rank
    {"reserved_bytes", {0, kMost}},          // of those, not the ledger's: contexts, libraries
    {"launcher_bytes", {0, kMost}},          // of a group whose ranks share a memory: mpirun's
    {"memory_bandwidth", {1e6, kMost}},      // bytes a second of one rank
    {"int8_ops", {1e6, kMost}},              // multiplications and additions a second
    {"float_flops", {1e6, kMost}},           // likewise, of the attention's floats
    {"bandwidth_share", {1e-3, 1}},          // of memory_bandwidth that kernels reach
    {"compute_share", {1e-3, 1}},            // of int8_ops and float_flops
    {"wire_bytes", {0.1, 16}},               // of one value in a reduce
    {"step_overhead", {0, kMostSeconds}},    // seconds a step
    {"network_bandwidth", {1e3, kMost}},     // bytes a second of one rank, to other nodes
    {"network_latency", {0, kMostSeconds}},  // seconds of one message between nodes
    {"node_power", {0, 1e9}},                // watts of a node under load
    {"devices_per_node", {1, 4096}},         // that a node's power and price are divided by
};

const std::vector<KnownTable>& tables() {
  static const std::vector<KnownTable> all{
      {"linear.column", {"rows", "outputs", "inputs", "tail"}},
      {"linear.gated", {"rows", "outputs", "inputs", "tail"}},
      {"linear.row", {"rows", "outputs", "inputs", "tail"}},
      {"linear.float", {"rows", "outputs", "inputs", "tail"}},
      {"attention", {"tasks", "context", "group", "head_dim"}},
      {"rotate_store", {"rows", "heads", "head_dim"}},
      {"norm", {"rows", "width"}},
      {"embed", {"rows", "width"}},
      {"sample", {"rows", "vocabulary"}},
      {"gather", {"rows", "vocabulary"}},
      {"reduce", {"bytes"}},
      {"layer.in_place", {"rows"}},
      {"step.overhead", {"rows"}},
      {"memory.reserved", {}},
  };
  return all;
}

constexpr std::string_view kFields[] = {"octet_hardware", "name",  "description", "device",
                                        "ranks_per_node", "facts", "tables"};
constexpr std::string_view kDevices[] = {"cpu", "cuda", "network"};

[[noreturn]] void fail(const std::string& where, std::string_view name,
                       std::span<const std::string_view> known) {
  throw InputError(
      fmt::format("{}: \"{}\" is not known; known: {}", where, name, fmt::join(known, ", ")));
}

void require(std::string_view name, const std::string& where,
             std::span<const std::string_view> known) {
  if (std::ranges::find(known, name) == known.end()) fail(where, name, known);
}

template <typename Entries>
const auto& entry(const Entries& entries, std::string_view name, const std::string& where) {
  std::vector<std::string_view> names;
  for (const auto& each : entries) {
    if (each.name == name) return each;
    names.push_back(each.name);
  }
  fail(where, name, names);
}

}  // namespace

FactRange fact_range(std::string_view name, const std::string& where) {
  return entry(kFacts, name, where).range;
}

void require_known_field(std::string_view name, const std::string& where) {
  require(name, where, kFields);
}

void require_known_device(std::string_view device, const std::string& where) {
  require(device, where, kDevices);
}

void require_known_table(const ProfileTable& table, const std::string& where) {
  const KnownTable& known = entry(tables(), table.operation, where + ".operation");
  std::vector<std::string_view> axes;
  for (const GridAxis& axis : table.grid.axes()) axes.push_back(axis.name);
  if (axes != known.axes) {
    throw InputError(fmt::format("{}.axes: are [{}], of {} they are [{}]", where,
                                 fmt::join(axes, ", "), table.operation,
                                 fmt::join(known.axes, ", ")));
  }
}

}  // namespace octet
