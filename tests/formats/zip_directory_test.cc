#include "runtime/formats/zip_directory.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"
#include "tests/formats/zip_builder.h"

namespace octet {
namespace {

class ZipDirectoryTest : public testing::Test {
 protected:
  ZipDirectory load(const std::string& bytes) {
    write_file(path_, bytes);
    return read_zip_directory(InputFile(path_));
  }
  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "archive.zip";
};

ZipBuilder sound_archive() {
  ZipBuilder zip;
  zip.add("m/a", "first");
  zip.add("m/empty", "");
  zip.add("m/b", "second entry");
  return zip;
}

TEST_F(ZipDirectoryTest, Entries_AreWhereTheirBytesAre_With32And64Bits) {
  for (bool zip64 : {false, true}) {
    for (const char* comment : {"", "of the whole archive"}) {
      ZipBuilder zip = sound_archive();
      zip.zip64 = zip64;
      zip.comment = comment;
      const std::string bytes = zip.build();
      const ZipDirectory directory = load(bytes);
      ASSERT_EQ(directory.size(), 3u);
      for (const auto& entry : zip.entries) {
        const ZipRange& range = directory.at(entry.name);
        EXPECT_EQ(bytes.substr(range.offset, range.bytes), entry.data);
      }
    }
  }
}

TEST_F(ZipDirectoryTest, CompressedEntries_AreMarked) {
  ZipBuilder zip = sound_archive();
  zip.entries[2].method = 8;
  const ZipDirectory directory = load(zip.build());
  EXPECT_FALSE(directory.at("m/a").compressed);
  EXPECT_TRUE(directory.at("m/b").compressed);
}

struct MalformedArchive {
  const char* what;
  std::function<void(ZipBuilder&)> damage;
  std::string message;
};

const MalformedArchive kMalformedArchives[] = {
    {"encrypted", [](auto& z) { z.entries[0].flags = 1; }, "'m/a' is encrypted"},
    {"twice", [](auto& z) { z.add("m/a", "x"); }, "'m/a' appears twice"},
    {"other local name", [](auto& z) { z.entries[2].local_name = "m/c"; }, "another entry's"},
    {"longer local name", [](auto& z) { z.entries[2].local_name = "m/bb"; }, "another entry's"},
    {"local header elsewhere", [](auto& z) { z.entries[2].shift = 1; }, "no local header at"},
    {"local header past the end", [](auto& z) { z.entries[2].shift = 1 << 30; }, "no local header"},
    {"into the next", [](auto& z) { z.entries[0].bytes = 6; }, "'m/empty' overlaps entry 'm/a'"},
    {"into the directory", [](auto& z) { z.entries[2].bytes = 13; }, "reach into the central"},
    {"huge", [](auto& z) { z.entries[2].bytes = UINT32_MAX - 1; }, "reach into the central"},
    {"too many", [](auto& z) { z.extra_entries = 1; }, "central directory"},
    {"far too many", [](auto& z) { z.extra_entries = 60000; }, "central directory: 60003 entries"},
    {"too few", [](auto& z) { z.extra_entries = -1; }, "bytes after its entries"},
    {"a gap", [](auto& z) { z.after_directory = "x"; }, "central directory"},
};

TEST_F(ZipDirectoryTest, MalformedField_IsNamed_With32And64Bits) {
  for (const MalformedArchive& malformed : kMalformedArchives) {
    for (bool zip64 : {false, true}) {
      SCOPED_TRACE(malformed.what);
      ZipBuilder zip = sound_archive();
      zip.zip64 = zip64;
      malformed.damage(zip);
      EXPECT_INPUT_ERROR(load(zip.build()), path_.string(), malformed.message);
    }
  }
}

TEST_F(ZipDirectoryTest, WhatIsNoArchive_OrCutOff_IsRefused) {
  EXPECT_INPUT_ERROR(load(""), path_.string(), "not a ZIP archive");
  EXPECT_INPUT_ERROR(load(std::string(100'000, 'x')), path_.string(), "not a ZIP archive");
  const std::string bytes = sound_archive().build();
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_INPUT_ERROR(load(bytes.substr(0, length)), path_.string(), "not a ZIP archive");
  }
}

}  // namespace
}  // namespace octet
