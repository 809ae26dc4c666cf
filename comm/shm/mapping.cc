#include "comm/shm/mapping.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace octet {
namespace {

constexpr std::string_view kPrefix = "octet-";  // then the pid of the rank that made it

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::shared_ptr<std::byte> map(int fd, size_t bytes, int flags) {
  // Its pages are taken now where they can be, so that a step waits for none.
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE | flags, fd, 0);
  if (memory == MAP_FAILED) fail("mmap of " + std::to_string(bytes) + " shared bytes");
  return {static_cast<std::byte*>(memory), [bytes](std::byte* m) { munmap(m, bytes); }};
}

// What groups left that were ended between making their region and taking its name away.
void remove_orphans() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator("/dev/shm", ignored)) {
    const std::string name = file.path().filename();
    pid_t pid = 0;
    const char* end = name.data() + name.size();
    if (!name.starts_with(kPrefix) ||
        std::from_chars(name.data() + kPrefix.size(), end, pid).ptr != end) {
      continue;
    }
    const auto age = fs::file_time_type::clock::now() - file.last_write_time(ignored);
    const bool gone = kill(pid, 0) != 0 && errno == ESRCH;
    // The process may be one that this one cannot see: its ranks meet within a minute, or not.
    if (!ignored && gone && age > std::chrono::minutes(1)) fs::remove(file.path(), ignored);
  }
}

}  // namespace

std::shared_ptr<std::byte> map_anonymous(size_t bytes) { return map(-1, bytes, MAP_ANONYMOUS); }

std::shared_ptr<std::byte> map_named(const std::string& name, size_t bytes, bool create) {
  if (create) remove_orphans();
  const int fd = shm_open(name.c_str(), create ? O_CREAT | O_EXCL | O_RDWR : O_RDWR, 0600);
  if (fd < 0) fail("shm_open " + name);
  // posix_fallocate, not ftruncate: too small a /dev/shm is an error here, not a SIGBUS later.
  if (create) {
    if (const int error = posix_fallocate(fd, 0, static_cast<off_t>(bytes))) {
      close(fd);
      shm_unlink(name.c_str());
      errno = error;
      fail("/dev/shm has no room for " + std::to_string(bytes) + " bytes");
    }
  }
  auto memory = map(fd, bytes, 0);
  close(fd);
  return memory;
}

void unlink_named(const std::string& name) { shm_unlink(name.c_str()); }

std::string name_of_region() { return "/" + std::string(kPrefix) + std::to_string(getpid()); }

}  // namespace octet
