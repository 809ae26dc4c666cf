#include "runtime/formats/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/formats/file_mapping.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr uint64_t kCursorBuffer = 64 << 10;
constexpr size_t kMaxTransfer = 1 << 30;  // Linux moves less than 2 GiB in one call

[[noreturn]] void fail(const std::filesystem::path& path, const char* action) {
  const int error = errno;
  throw InputError(fmt::format("{}: {}: {}", path.string(), action, std::strerror(error)),
                   error == ENOENT   ? ErrorCode::kNotFound
                   : error == ENOSPC ? ErrorCode::kResourceExhausted
                                     : ErrorCode::kInvalidArgument);
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) fail(path, "open");
  struct stat info {};
  const bool regular = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  if (!regular) {
    ::close(fd_);
    throw InputError(fmt::format("{}: not a regular file", path.string()));
  }
  size_ = static_cast<uint64_t>(info.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    throw InputError(fmt::format("{}: {} bytes at offset {} pass the file's end ({} bytes)",
                                 path_.string(), out.size(), offset, size_));
  }
  while (!out.empty()) {
    const ssize_t got =
        ::pread(fd_, out.data(), std::min(out.size(), kMaxTransfer), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, "read");
    if (got == 0) throw InputError(fmt::format("{}: ends at {}", path_.string(), offset));
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

std::shared_ptr<const std::byte> InputFile::map() const {
  return size_ == 0 ? nullptr : map_file(fd_, size_, path_);
}

void FileCursor::expect(uint64_t count, uint64_t min_bytes, const std::string& what) const {
  if (count > remaining() / min_bytes) {
    throw InputError(fmt::format("{}: {}: {} x {} bytes do not fit into the {} left at offset {}",
                                 file_.path().string(), what, count, min_bytes, remaining(),
                                 position_));
  }
}

void FileCursor::copy(std::span<std::byte> out, const std::string& what) {
  expect(out.size(), 1, what);
  while (!out.empty()) {
    if (position_ >= buffer_begin_ + buffer_.size()) {
      buffer_.resize(std::min(kCursorBuffer, remaining()));
      file_.read(position_, buffer_);
      buffer_begin_ = position_;
    }
    const uint64_t skip = position_ - buffer_begin_;
    const size_t n = std::min<size_t>(out.size(), buffer_.size() - skip);
    std::memcpy(out.data(), buffer_.data() + skip, n);
    out = out.subspan(n);
    position_ += n;
  }
}

std::string FileCursor::read_string(uint64_t length, const std::string& what) {
  expect(length, 1, what);
  std::string text(length, '\0');
  copy(std::as_writable_bytes(std::span(text)), what);
  return text;
}

OutputFile::OutputFile(const std::filesystem::path& path, Mode mode) : path_(path) {
  const int truncate = mode == Mode::kReplace ? O_TRUNC : 0;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | truncate, 0644);
  if (fd_ < 0) fail(path, "create");
}

OutputFile::~OutputFile() { ::close(fd_); }

void OutputFile::write(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_, bytes.data(), std::min(bytes.size(), kMaxTransfer),
                                 static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail(path_, "write");
    bytes = bytes.subspan(static_cast<size_t>(put));
    offset += static_cast<uint64_t>(put);
  }
}

void OutputFile::resize(uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) fail(path_, "resize");
}

void OutputFile::sync() {
  if (::fsync(fd_) != 0) fail(path_, "fsync");
}

void write_text_file(const std::filesystem::path& path, std::string_view text) {
  OutputFile file(path);
  file.write(0, text);
  file.sync();
}

void sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(folder, "open");
  const int result = ::fsync(fd);
  ::close(fd);
  if (result != 0) fail(folder, "fsync");
}

std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes) {
  const InputFile file(path);
  if (file.size() > max_bytes) {
    throw InputError(fmt::format("{}: {} bytes, more than the {} allowed", path.string(),
                                 file.size(), max_bytes));
  }
  std::string text(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace octet
