#include "runtime/bench/scale_grid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <sstream>

#include "runtime/bench/numbers.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr int64_t kMostSlots = 1 << 16;

// Without those that `name` calls by the same name as one before.
template <typename T, typename Name>
std::vector<T> each_once(const std::vector<T>& all, const Name& name) {
  std::vector<T> once;
  std::set<std::string> seen;
  for (const T& item : all) {
    if (seen.insert(std::invoke(name, item)).second) once.push_back(item);
  }
  return once;
}

}  // namespace

std::vector<std::string> hostfile_slots(const std::string& text, const std::string& source) {
  std::vector<std::string> slots;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::string host, word;
    if (!(words >> host)) continue;
    std::optional<int64_t> count = 1;
    while (words >> word) {
      if (word.starts_with("slots=")) count = parse_whole(word.substr(6));
    }
    if (!count || *count < 1 || *count > kMostSlots) {
      throw InputError(
          fmt::format("{}:{}: {}: must be HOST slots=N", source, number, printable(line)));
    }
    slots.insert(slots.end(), static_cast<size_t>(*count), host);
  }
  return slots;
}

std::string ScaleGroup::name() const {
  return fmt::format("tp {} x {}", tensor_parallel_size, replicas);
}

std::string ScaleCell::load() const {
  if (concurrency > 0) return fmt::format("{} at a time", concurrency);
  return std::isinf(rate) ? "all at once" : fmt::format("{} requests/s", rate);
}

std::string ScaleCell::file() const {
  return fmt::format(
      "tp{}-r{}-{}", group.tensor_parallel_size, group.replicas,
      concurrency > 0 ? fmt::format("concurrency{}", concurrency) : fmt::format("rate{}", rate));
}

std::vector<ScaleGroup> ScaleGrid::groups() const {
  std::vector<ScaleGroup> groups;
  for (const int size : tensor_parallel_sizes) {
    for (const int count : replicas) groups.push_back({size, count});
  }
  std::ranges::stable_sort(groups, {}, &ScaleGroup::ranks);
  return each_once(groups, &ScaleGroup::name);
}

std::vector<ScaleCell> ScaleGrid::cells(const ScaleGroup& group) const {
  std::vector<ScaleCell> cells;
  for (const double rate : rates) cells.push_back({.group = group, .rate = rate});
  for (const size_t concurrency : concurrencies) {
    cells.push_back({.group = group, .concurrency = concurrency});
  }
  return each_once(cells, &ScaleCell::file);
}

std::vector<std::string> split_hosts(const std::string& text, const std::string& source,
                                     const ScaleGroup& group) {
  const std::vector<std::string> slots = hostfile_slots(text, source);
  if (slots.size() < static_cast<size_t>(group.ranks())) {
    throw InputError(fmt::format("{}: has {} slots, {} needs {}", source, slots.size(),
                                 group.name(), group.ranks()));
  }
  std::vector<std::string> files;
  auto next = slots.begin();
  for (int replica = 0; replica < group.replicas; ++replica) {
    std::string file;
    const auto end = next + group.tensor_parallel_size;
    while (next != end) {
      const auto other = std::find_if(next, end, [&](const auto& host) { return host != *next; });
      file += fmt::format("{} slots={}\n", *next, other - next);
      next = other;
    }
    files.push_back(std::move(file));
  }
  return files;
}

}  // namespace octet
