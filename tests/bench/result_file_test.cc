#include "runtime/bench/result_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "runtime/formats/file.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

TEST(ResultFile, IsWhole_AndNothingIsLeftBesideIt) {
  const TempFolder folder;
  const fs::path file = folder.path() / "out.json";
  for (const char* text : {"first", "2nd"}) {
    replace_text_file(file, text);
    EXPECT_EQ(read_text_file(file, 100), text);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(ResultFile, ALinkStaysALink) {
  const TempFolder folder;
  const fs::path file = folder.path() / "real", link = folder.path() / "link";
  replace_text_file(file, "before");
  fs::create_symlink(file, link);
  replace_text_file(link, "after");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_text_file(file, 100), "after");
}

TEST(ResultFile, ALinkToNothingYetStaysALink) {
  const TempFolder folder;
  const fs::path link = folder.path() / "link";
  fs::create_symlink("real", link);
  replace_text_file(link, "text");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_text_file(folder.path() / "real", 100), "text");
}

TEST(ResultFile, AFolderIsNamed_AndNothingIsLeft) {
  const TempFolder folder;
  expect_input_error([&] { replace_text_file(folder.path(), "text"); }, {folder.path().string()});
  expect_input_error([&] { replace_text_file(folder.path() / "none" / "file", "text"); }, {"none"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(ResultFile, APipeStaysAPipeAndGetsTheText) {
  const TempFolder folder;
  const fs::path pipe = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  replace_text_file(pipe, "text");
  EXPECT_TRUE(fs::is_fifo(pipe));
  std::string got(100, 0);
  got.resize(static_cast<size_t>(std::max<ssize_t>(read(reader, got.data(), got.size()), 0)));
  close(reader);
  EXPECT_EQ(got, "text");
}

}  // namespace
}  // namespace octet
