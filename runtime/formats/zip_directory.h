// The entries of a ZIP archive whose entries are stored, not compressed: each is a byte range of
// the file. ZIP64 included.
//
// The file is hostile. Refused: compressed or encrypted entries, a name twice, an archive in
// several disks, records that are not where the ones before them say, entries that overlap one
// another or reach into the directory. CRCs are not looked at.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/formats/file.h"

namespace octet {

struct ZipRange {
  uint64_t offset = 0, bytes = 0;  // of the data, inside the file
  bool compressed = false;         // the bytes are not the entry's own
};
using ZipDirectory = std::map<std::string, ZipRange, std::less<>>;

// Throws InputError naming the file and the entry.
ZipDirectory read_zip_directory(const InputFile& file);

}  // namespace octet
