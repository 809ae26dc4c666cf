#include "comm/shm/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace octet {
namespace {

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

}  // namespace

std::shared_ptr<std::byte> map_anonymous(size_t bytes) { return map(-1, bytes, MAP_ANONYMOUS); }

std::shared_ptr<std::byte> map_named(const std::string& name, size_t bytes, bool create) {
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

}  // namespace octet
