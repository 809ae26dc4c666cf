#include "runtime/formats/zip_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/formats/byte_reader.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr std::string_view kEndText = "PK\5\6";
constexpr uint32_t kEnd64Magic = 0x06064b50, kLocatorMagic = 0x07064b50, kEntryMagic = 0x02014b50,
                   kLocalMagic = 0x04034b50;
constexpr uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kEntryBytes = 46,
                   kLocalBytes = 30, kMaxCommentBytes = 0xffff;
constexpr uint64_t kMaxDirectoryBytes = 64 << 20;
constexpr uint64_t kElsewhere16 = UINT16_MAX, kElsewhere32 = UINT32_MAX;  // in a ZIP64 field
constexpr uint16_t kZip64Field = 1, kEncrypted = 1, kStored = 0;

struct Directory {
  uint64_t offset = 0, bytes = 0, entries = 0;
  uint64_t end = 0;  // where the record after it begins
};

class ZipReader {
 public:
  explicit ZipReader(const InputFile& file) : file_(file), path_(file.path().string()) {}

  ZipDirectory read() {
    const Directory directory = find_directory();
    if (directory.bytes > kMaxDirectoryBytes || directory.entries > directory.bytes / kEntryBytes ||
        directory.bytes > directory.end || directory.offset != directory.end - directory.bytes) {
      fail(fmt::format("central directory: {} entries in {} bytes at {}, before {}",
                       directory.entries, directory.bytes, directory.offset, directory.end));
    }
    const std::string bytes = bytes_at(directory.offset, directory.bytes);
    ByteReader in(bytes, path_ + ": central directory");
    ZipDirectory found;
    for (uint64_t i = 0; i < directory.entries; ++i) add_entry(in, directory.offset, found);
    if (in.remaining() != 0) {
      fail(fmt::format("central directory: {} bytes after its entries", in.remaining()));
    }
    check_overlaps();
    return found;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}", path_, what));
  }

  std::string bytes_at(uint64_t offset, uint64_t bytes) const {
    std::string text(bytes, '\0');
    file_.read(offset, std::as_writable_bytes(std::span(text)));
    return text;
  }

  // The last end record whose comment ends where the file does.
  uint64_t find_end() const {
    const uint64_t tail_bytes = std::min(file_.size(), kEndBytes + kMaxCommentBytes);
    const std::string tail = bytes_at(file_.size() - tail_bytes, tail_bytes);
    for (size_t at = tail.rfind(kEndText); at != std::string::npos;
         at = at == 0 ? std::string::npos : tail.rfind(kEndText, at - 1)) {
      const uint64_t back = tail_bytes - at;
      if (back < kEndBytes) continue;
      ByteReader comment(std::string_view(tail).substr(at + kEndBytes - 2, 2), path_);
      if (comment.read<uint16_t>("comment") == back - kEndBytes) return file_.size() - back;
    }
    fail("not a ZIP archive, or cut off: no end of a central directory");
  }

  Directory find_directory() const {
    const uint64_t end = find_end();
    const std::string bytes = bytes_at(end, kEndBytes);
    ByteReader in(bytes, path_ + ": end record");
    in.read<uint32_t>("magic");
    const uint32_t disks = in.read<uint32_t>("disks");
    const auto here = in.read<uint16_t>("entries here");
    Directory directory{.entries = in.read<uint16_t>("entries"), .end = end};
    directory.bytes = in.read<uint32_t>("size");
    directory.offset = in.read<uint32_t>("offset");
    if (const auto wide = find_directory64(end)) {
      const auto agrees = [](uint64_t narrow, uint64_t value, uint64_t elsewhere) {
        return narrow == value || narrow == elsewhere;
      };
      if (!agrees(directory.entries, wide->entries, kElsewhere16) ||
          !agrees(directory.bytes, wide->bytes, kElsewhere32) ||
          !agrees(directory.offset, wide->offset, kElsewhere32)) {
        fail("the end record and the ZIP64 end record differ");
      }
      return *wide;
    }
    if (disks != 0 || here != directory.entries) fail("a ZIP archive in several parts");
    return directory;
  }

  std::optional<Directory> find_directory64(uint64_t end) const {
    if (end < kLocatorBytes + kEnd64Bytes) return std::nullopt;
    const std::string locator = bytes_at(end - kLocatorBytes, kLocatorBytes);
    ByteReader at(locator, path_ + ": ZIP64 locator");
    if (at.read<uint32_t>("magic") != kLocatorMagic) return std::nullopt;
    at.read<uint32_t>("disk");
    const uint64_t place = at.read<uint64_t>("offset");
    if (place != end - kLocatorBytes - kEnd64Bytes) {
      fail(fmt::format("ZIP64 end record at {}, where {} is due", place,
                       end - kLocatorBytes - kEnd64Bytes));
    }
    const std::string bytes = bytes_at(place, kEnd64Bytes);
    ByteReader in(bytes, path_ + ": ZIP64 end record");
    if (in.read<uint32_t>("magic") != kEnd64Magic) fail("ZIP64 end record: wrong magic");
    in.read_text(12, "size and versions");
    const auto disks = in.read<uint64_t>("disks");
    const auto here = in.read<uint64_t>("entries here");
    Directory directory{.entries = in.read<uint64_t>("entries"), .end = place};
    directory.bytes = in.read<uint64_t>("size");
    directory.offset = in.read<uint64_t>("offset");
    if (disks != 0 || here != directory.entries) fail("a ZIP archive in several parts");
    return directory;
  }

  void add_entry(ByteReader& in, uint64_t directory_begin, ZipDirectory& found) {
    if (in.read<uint32_t>("magic") != kEntryMagic) fail("central directory: wrong magic");
    in.read<uint32_t>("versions");
    const auto flags = in.read<uint16_t>("flags"), method = in.read<uint16_t>("method");
    in.read_text(8, "time and CRC");
    uint64_t stored = in.read<uint32_t>("stored size"), bytes = in.read<uint32_t>("size");
    const auto name_bytes = in.read<uint16_t>("name length");
    const auto extra_bytes = in.read<uint16_t>("extra length");
    const auto comment_bytes = in.read<uint16_t>("comment length");
    in.read_text(8, "disk and attributes");
    uint64_t local = in.read<uint32_t>("local header's place");
    const std::string name(in.read_text(name_bytes, "name"));
    const std::string what = "entry " + printable(name);
    ByteReader extra(in.read_text(extra_bytes, "extra fields"), path_ + ": " + what);
    in.read_text(comment_bytes, "comment");
    widen(extra, {&bytes, &stored, &local});
    const bool compressed = method != kStored;
    if (!compressed && stored != bytes) {
      fail(fmt::format("{}: {} bytes stored as {}", what, bytes, stored));
    }
    if ((flags & kEncrypted) != 0) fail(what + " is encrypted");
    const uint64_t begin = data_begin(name, method, local, directory_begin);
    if (stored > directory_begin - begin) {
      fail(fmt::format("{}: {} bytes at {} reach into the central directory at {}", what, stored,
                       begin, directory_begin));
    }
    if (!found.emplace(name, ZipRange{begin, stored, compressed}).second) {
      fail(what + " appears twice");
    }
    spans_.push_back({.begin = local, .end = begin + stored, .name = name});
  }

  // Numbers that 32 bits do not hold are in the ZIP64 field, in this order.
  static void widen(ByteReader& extra, std::initializer_list<uint64_t*> numbers) {
    while (extra.remaining() >= 4) {
      const auto id = extra.read<uint16_t>("extra field"), size = extra.read<uint16_t>("length");
      ByteReader field(extra.read_text(size, "extra field"), extra.source());
      if (id != kZip64Field) continue;
      for (uint64_t* number : numbers) {
        if (*number == kElsewhere32) *number = field.read<uint64_t>("ZIP64 field");
      }
      return;
    }
  }

  // Behind the local header, which has the same name.
  uint64_t data_begin(const std::string& name, uint16_t method, uint64_t local,
                      uint64_t directory_begin) const {
    const std::string what = "entry " + printable(name);
    if (local > directory_begin || directory_begin - local < kLocalBytes + name.size()) {
      fail(fmt::format("{}: no local header at {}", what, local));
    }
    const std::string bytes = bytes_at(local, kLocalBytes + name.size());
    ByteReader in(bytes, path_ + ": " + what);
    if (in.read<uint32_t>("magic") != kLocalMagic) {
      fail(fmt::format("{}: no local header at {}", what, local));
    }
    in.read_text(4, "version and flags");
    const auto local_method = in.read<uint16_t>("method");
    in.read_text(16, "time, CRC and sizes");
    const auto name_bytes = in.read<uint16_t>("name length");
    const auto extra_bytes = in.read<uint16_t>("extra length");
    if (local_method != method || name_bytes != name.size() ||
        in.read_text(name_bytes, "name") != name ||
        extra_bytes > directory_begin - local - kLocalBytes - name_bytes) {
      fail(what + ": the local header is another entry's");
    }
    return local + kLocalBytes + name_bytes + extra_bytes;
  }

  void check_overlaps() {
    std::ranges::sort(spans_, {}, &Span::begin);
    for (size_t i = 1; i < spans_.size(); ++i) {
      if (spans_[i].begin < spans_[i - 1].end) {
        fail(fmt::format("entry {} overlaps entry {}", printable(spans_[i].name),
                         printable(spans_[i - 1].name)));
      }
    }
  }

  struct Span {
    uint64_t begin = 0, end = 0;  // with the local header
    std::string name;
  };

  const InputFile& file_;
  const std::string path_;
  std::vector<Span> spans_;
};

}  // namespace

ZipDirectory read_zip_directory(const InputFile& file) { return ZipReader(file).read(); }

}  // namespace octet
