// A mapped file that is cut short under its reader.
#include "runtime/formats/file_mapping.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "runtime/formats/file.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBytes = 1 << 20;

TEST(FileMapping, OutlivesItsFile) {
  const TempFolder folder;
  write_file(folder / "weights", std::string(kBytes, 'x'));
  const auto memory = InputFile(folder / "weights").map();
  fs::remove(folder / "weights");
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(memory.get()[kBytes - 1], std::byte{'x'});
}

TEST(FileMapping, NothingIsNotMapped) {
  const TempFolder folder;
  write_file(folder / "empty", "");
  EXPECT_EQ(InputFile(folder / "empty").map(), nullptr);
}

TEST(FileMappingDeathTest, CutShort_IsOneLineAndAWrongFile) {
  const TempFolder folder;
  for (const char* name : {"first", "second"}) write_file(folder / name, std::string(kBytes, 'x'));
  const auto first = InputFile(folder / "first").map(), second = InputFile(folder / "second").map();
  EXPECT_EXIT(
      {
        fs::resize_file(folder / "second", 4096);
        const auto* last = reinterpret_cast<const volatile char*>(second.get() + kBytes - 1);
        static_cast<void>(*last);
      },
      ::testing::ExitedWithCode(2), "/second: was cut short");
}

TEST(FileMappingDeathTest, OtherBusErrors_AreStillSignals) {
  const TempFolder folder;
  write_file(folder / "file", std::string(kBytes, 'x'));
  const auto memory = InputFile(folder / "file").map();
  EXPECT_EXIT(::raise(SIGBUS), ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace octet
