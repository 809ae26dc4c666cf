#include "kernels/cpu/host_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <new>
#include <optional>
#include <sstream>
#include <string>

namespace octet::cpu {

namespace {

constexpr size_t kHuge = size_t{2} << 20;
constexpr size_t kLine = 64;

// The number after `key` in a file of lines, or at its start.
std::optional<size_t> value_in(const std::string& file, const std::string& key = "") {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    if (size_t value = 0; rest >> value) return value;
    return std::nullopt;
  }
  return std::nullopt;
}

struct GroupFiles {
  const char *limit, *usage;
  const char *inactive, *mapped;  // lines of memory.stat: pages of files
};
constexpr GroupFiles kUnified{"memory.max", "memory.current", "inactive_file", "file_mapped"};
constexpr GroupFiles kMemory{"memory.limit_in_bytes", "memory.usage_in_bytes",
                             "total_inactive_file", "total_mapped_file"};

// What the limits of a control group and of those around it leave.
size_t room_of(const std::filesystem::path& root, const std::string& group,
               const GroupFiles& files) {
  size_t room = SIZE_MAX;
  std::filesystem::path folder = root / std::filesystem::path(group).relative_path();
  while (true) {
    const auto limit = value_in(folder / files.limit), usage = value_in(folder / files.usage);
    if (limit && usage) {
      // Pages of files can be given up, but not those of the programs that run.
      const size_t inactive = value_in(folder / "memory.stat", files.inactive).value_or(0);
      const size_t mapped = value_in(folder / "memory.stat", files.mapped).value_or(0);
      const size_t used = *usage - std::min(*usage, inactive - std::min(inactive, mapped));
      room = std::min(room, *limit - std::min(*limit, used));
    }
    if (folder == root || !folder.has_relative_path()) return room;
    folder = folder.parent_path();
  }
}

size_t round_up(size_t bytes, size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

}  // namespace

size_t allocated_bytes(size_t bytes) { return round_up(bytes, bytes < kHuge ? kLine : kHuge); }

Tensor allocate_host(DType dtype, Shape shape) {
  const size_t bytes = static_cast<size_t>(shape.numel()) * dtype_size(dtype);
  if (bytes < kHuge) return Tensor::host(dtype, shape);
  const size_t padded = allocated_bytes(bytes);
  // Fresh pages are zero already and cost nothing until they are used. One huge page more, to begin
  // at a multiple.
  const size_t mapped = padded + kHuge;
  void* memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  const auto begin = round_up(reinterpret_cast<uintptr_t>(memory), kHuge);
  madvise(reinterpret_cast<void*>(begin), padded, MADV_HUGEPAGE);
  return Tensor({reinterpret_cast<std::byte*>(begin),
                 [memory, mapped](std::byte*) { munmap(memory, mapped); }},
                dtype, shape);
}

void trim_host_memory() { malloc_trim(0); }

size_t available_host_memory() {
  size_t available = value_in("/proc/meminfo", "MemAvailable:").value_or(SIZE_MAX / 1024) * 1024;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty()) {
      available = std::min(available, room_of("/sys/fs/cgroup", line.substr(second + 1), kUnified));
    } else if (controllers.find("memory") != std::string::npos) {
      available =
          std::min(available, room_of("/sys/fs/cgroup/memory", line.substr(second + 1), kMemory));
    }
  }
  return available;
}

}  // namespace octet::cpu
