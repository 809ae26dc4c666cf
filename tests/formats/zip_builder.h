// ZIP archives of stored entries, byte by byte; every field that a test damages is a member.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace octet {

template <typename T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

struct ZipBuilder {
  struct Entry {
    std::string name, data;
    uint16_t method = 0, flags = 0;
    std::string local_name = name;  // as the local header has it
    int64_t shift = 0;              // of the local header's place in the directory
    uint32_t bytes = static_cast<uint32_t>(data.size());
  };
  std::vector<Entry> entries;
  bool zip64 = false;  // all sizes and places in ZIP64 fields
  std::string comment, after_directory;
  int extra_entries = 0;  // more than there are, by the end record

  Entry& add(std::string name, std::string data) {
    entries.push_back({.name = std::move(name), .data = std::move(data)});
    return entries.back();
  }

  std::string build() const {
    std::string file, directory;
    for (const Entry& entry : entries) {
      const uint64_t place = file.size() + static_cast<uint64_t>(entry.shift);
      put_header(file, entry, 0x04034b50, "", 0);
      file += entry.data;
      std::string extra;
      if (zip64) {
        put<uint16_t>(extra, 1), put<uint16_t>(extra, 24);
        put<uint64_t>(extra, entry.bytes), put<uint64_t>(extra, entry.bytes), put(extra, place);
      }
      put_header(directory, entry, 0x02014b50, extra, static_cast<uint32_t>(place));
    }
    const uint64_t count = entries.size() + static_cast<uint64_t>(extra_entries);
    const uint64_t begin = file.size(), bytes = directory.size();
    file += directory + after_directory;
    if (zip64) put_end64(file, count, begin, bytes);
    put<uint32_t>(file, 0x06054b50), put<uint32_t>(file, 0);
    put(file, static_cast<uint16_t>(zip64 ? 0xffff : count));
    put(file, static_cast<uint16_t>(zip64 ? 0xffff : count));
    put(file, static_cast<uint32_t>(zip64 ? UINT32_MAX : bytes));
    put(file, static_cast<uint32_t>(zip64 ? UINT32_MAX : begin));
    put(file, static_cast<uint16_t>(comment.size()));
    return file + comment;
  }

 private:
  void put_header(std::string& out, const Entry& entry, uint32_t magic, const std::string& extra,
                  uint32_t place) const {
    const bool local = magic == 0x04034b50;
    const std::string& name = local ? entry.local_name : entry.name;
    put(out, magic);
    if (!local) put<uint16_t>(out, 20);
    put<uint16_t>(out, 20), put(out, entry.flags), put(out, entry.method);
    put<uint64_t>(out, 0);  // time and CRC
    const bool elsewhere = zip64 && !local;
    for (int i = 0; i < 2; ++i) put(out, elsewhere ? UINT32_MAX : entry.bytes);
    put(out, static_cast<uint16_t>(name.size()));
    put(out, static_cast<uint16_t>(extra.size()));
    if (!local) {
      out.append(10, '\0');  // comment, disk, attributes
      put(out, elsewhere ? UINT32_MAX : place);
    }
    out += name + extra;
  }

  static void put_end64(std::string& file, uint64_t count, uint64_t begin, uint64_t bytes) {
    const uint64_t place = file.size();
    put<uint32_t>(file, 0x06064b50), put<uint64_t>(file, 44), put<uint32_t>(file, 0);
    put<uint64_t>(file, 0), put(file, count), put(file, count), put(file, bytes), put(file, begin);
    put<uint32_t>(file, 0x07064b50), put<uint32_t>(file, 0), put(file, place);
    put<uint32_t>(file, 1);
  }
};

}  // namespace octet
