#include "comm/numa.h"

#include <hwloc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "kernels/say.h"

namespace octet {
namespace {

using Topology = std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)>;
using Processors = std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)>;

// Null: cannot be read.
Topology load_topology() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return {nullptr, hwloc_topology_destroy};
  Topology owner(topology, hwloc_topology_destroy);
  if (hwloc_topology_load(topology) != 0) owner.reset();
  return owner;
}

Processors no_processors() { return {hwloc_bitmap_alloc(), hwloc_bitmap_free}; }

bool is_bound(hwloc_topology_t topology) {
  const Processors own = no_processors();
  return hwloc_get_cpubind(topology, own.get(), HWLOC_CPUBIND_PROCESS) == 0 &&
         !hwloc_bitmap_isincluded(hwloc_topology_get_allowed_cpuset(topology), own.get());
}

// Of each node with processors; memory of several kinds can be nodes with the same ones.
std::vector<hwloc_const_cpuset_t> processors_of_nodes(hwloc_topology_t topology) {
  std::vector<hwloc_const_cpuset_t> nodes;
  hwloc_obj_t node = nullptr;
  while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != nullptr) {
    const bool known = std::ranges::any_of(nodes, [&](hwloc_const_cpuset_t other) {
      return hwloc_bitmap_isequal(other, node->cpuset) != 0;
    });
    if (!known && !hwloc_bitmap_iszero(node->cpuset)) nodes.push_back(node->cpuset);
  }
  return nodes;
}

Processors share(hwloc_topology_t topology, int local_rank, int local_size) {
  Processors processors = no_processors();
  const std::vector<hwloc_const_cpuset_t> nodes = processors_of_nodes(topology);
  const int count = static_cast<int>(nodes.size());
  if (count < 2 || (local_size % count != 0 && count % local_size != 0) || is_bound(topology)) {
    return processors;
  }
  const int first = local_rank * count / local_size,
            nodes_of_rank = std::max(1, count / local_size);
  for (int node = first; node < first + nodes_of_rank; ++node) {
    hwloc_bitmap_or(processors.get(), processors.get(), nodes[node]);
  }
  return processors;
}

}  // namespace

std::string numa_processors(int local_rank, int local_size) {
  const Topology topology = local_size < 2 ? Topology(nullptr, nullptr) : load_topology();
  if (topology == nullptr) return "";
  const Processors processors = share(topology.get(), local_rank, local_size);
  char* text = nullptr;
  if (hwloc_bitmap_list_asprintf(&text, processors.get()) < 0) throw std::bad_alloc();
  const std::unique_ptr<char, decltype(&std::free)> owner(text, std::free);
  return text;
}

bool bind_to_numa_nodes(int local_rank, int local_size) {
  const std::string list = numa_processors(local_rank, local_size);
  if (list.empty()) return false;
  const Topology topology = load_topology();
  const Processors processors = no_processors();
  if (topology == nullptr || hwloc_bitmap_list_sscanf(processors.get(), list.c_str()) != 0 ||
      hwloc_set_cpubind(topology.get(), processors.get(), HWLOC_CPUBIND_PROCESS) != 0) {
    say("octet: rank {} of this host cannot be bound to processors {}\n", local_rank, list);
    return false;
  }
  say("octet: rank {} of this host runs on processors {}\n", local_rank, list);
  return true;
}

}  // namespace octet
