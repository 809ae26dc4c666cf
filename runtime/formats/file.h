// Files by position (InputFile), front to back (FileCursor), and written front to back
// (OutputFile).
//
// Errors: InputError naming the file and the place. A file that shrinks while it is read gives an
// error, not a signal. InputFile: any thread. FileCursor, OutputFile: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace octet {

class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);  // a regular file
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened

  void read(uint64_t offset, std::span<std::byte> out) const;  // exactly out.size() bytes

  // All of it as memory, read-only; outlives this. Null where the file system cannot, or nothing is
  // there. A file that shrinks meanwhile ends the process: see file_mapping.h.
  std::shared_ptr<const std::byte> map() const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Reads little-endian fields one after the other. Every read is checked against what is left of the
// file before anything is allocated; `what` names the field in the message.
class FileCursor {
 public:
  explicit FileCursor(const InputFile& file) : file_(file) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return file_.size() - position_; }

  template <typename T>
  T read(const std::string& what) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    T value;
    copy(std::as_writable_bytes(std::span(&value, 1)), what);
    return value;
  }
  std::string read_string(uint64_t length, const std::string& what);

  // Throws unless `count` things of at least `min_bytes` each fit into what is left.
  void expect(uint64_t count, uint64_t min_bytes, const std::string& what) const;

 private:
  void copy(std::span<std::byte> out, const std::string& what);

  const InputFile& file_;
  uint64_t position_ = 0;
  std::vector<std::byte> buffer_;
  uint64_t buffer_begin_ = 0;  // the buffer's place in the file
};

class OutputFile {
 public:
  enum class Mode { kReplace, kKeep };  // what becomes of the bytes of a file that exists
  explicit OutputFile(const std::filesystem::path& path, Mode mode = Mode::kReplace);
  ~OutputFile();  // closes; what was not synced may be lost
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(uint64_t offset, std::span<const std::byte> bytes);
  void write(uint64_t offset, std::string_view text) {
    write(offset, std::as_bytes(std::span(text)));
  }
  void resize(uint64_t size);
  void sync();  // returns when the bytes are on the disk

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

void write_text_file(const std::filesystem::path& path, std::string_view text);  // synced
void sync_folder(const std::filesystem::path& folder);  // makes its entries durable

// A whole small file. Throws when it is larger than max_bytes.
std::string read_text_file(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace octet
