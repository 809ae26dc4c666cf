#include "runtime/formats/file_mapping.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

namespace octet {
namespace {

// What a signal's handler may look at: written before `begin` is, never taken back while it is set.
struct Region {
  std::atomic<const std::byte*> begin{nullptr};
  uint64_t size = 0;
  std::array<char, 256> name{};  // the path's end, where it is longer
};
std::array<Region, 1024> regions;
std::mutex regions_mutex;
struct sigaction earlier;

constexpr int kWrongFile = 2;  // the exit code for that

// In one piece, so that lines of several ranks do not mix. A line that stderr does not take is
// lost.
void say_cut_short(std::string_view name) {
  std::array<char, 512> line;
  size_t length = 0;
  for (const std::string_view part :
       {std::string_view("octet: "), name,
        std::string_view(": was cut short, or cannot be read any more, while its weights are in "
                         "use\n")}) {
    length += part.copy(line.data() + length, line.size() - length);
  }
  static_cast<void>(!::write(STDERR_FILENO, line.data(), length));
}

void on_bus_error(int signal, siginfo_t* info, void*) {
  const bool fault = info->si_code > 0;  // else somebody sent it, and there is no address
  const auto* address = fault ? static_cast<const std::byte*>(info->si_addr) : nullptr;
  for (const Region& region : regions) {
    const std::byte* begin = region.begin;
    if (begin == nullptr || address < begin || address >= begin + region.size) continue;
    static std::atomic_flag said;
    if (said.test_and_set()) ::pause();  // another thread is about to end the process
    say_cut_short(region.name.data());
    ::_exit(kWrongFile);
  }
  ::sigaction(signal, &earlier, nullptr);
  ::raise(signal);  // into that, on return
}

void install_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, &earlier);
}

// Null: no place is free, and the file will not be named.
Region* add_region(const std::byte* begin, uint64_t size, const std::string& path) {
  const std::lock_guard lock(regions_mutex);
  static const bool installed = (install_handler(), true);
  static_cast<void>(installed);
  const auto free =
      std::ranges::find_if(regions, [](const Region& r) { return r.begin == nullptr; });
  if (free == regions.end()) return nullptr;
  const size_t most = free->name.size() - 1, length = std::min(path.size(), most);
  std::memcpy(free->name.data(), path.data() + path.size() - length, length);
  free->name[length] = 0;
  free->size = size;
  free->begin = begin;
  return &*free;
}

}  // namespace

std::shared_ptr<const std::byte> map_file(int descriptor, uint64_t size,
                                          const std::filesystem::path& path) {
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) return nullptr;
  // A file that is not in the page cache yet comes in pages of 2 MiB then, and whoever maps it, now
  // or later, takes a fault for each of those instead of one for 64 KiB. What Linux cannot do, it
  // skips.
  ::madvise(memory, size, MADV_HUGEPAGE);
  const auto* begin = static_cast<const std::byte*>(memory);
  Region* region = add_region(begin, size, path.string());
  return {begin, [memory, size, region](const std::byte*) {
            if (region != nullptr) region->begin = nullptr;
            ::munmap(memory, size);
          }};
}

}  // namespace octet
