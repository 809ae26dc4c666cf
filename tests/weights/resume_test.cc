// quantize_checkpoint() cut off by SIGKILL, run twice at once, and its memory: in processes of
// their own.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"
#include "tests/weights/artefact_helpers.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

// Runs in a child; gives what wait() says and the child's peak memory.
struct Child {
  int status = 0;
  rusage usage{};
};
Child run_in_child(const std::function<void()>& work) {
  Child child;
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      work();
    } catch (const std::exception& error) {
      fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  EXPECT_EQ(::wait4(pid, &child.status, 0, &child.usage), pid);
  return child;
}

// The progress of a run that is killed after its `last` tensor.
QuantizeOptions killed_after(int last,
                             QuantizeOptions options = {.max_shard_bytes = 4000, .progress = {}}) {
  options.progress = [last, done = 0](const std::string&, uint64_t, uint64_t) mutable {
    if (++done == last) ::raise(SIGKILL);
  };
  return options;
}

class ResumeTest : public testing::Test {
 protected:
  void SetUp() override { write_tiny_folder(in_, DType::kBF16); }

  void expect_same_as_uninterrupted() { expect_same_as_uninterrupted(options_); }
  void expect_same_as_uninterrupted(const QuantizeOptions& options) {
    quantize(in_, folder_ / "whole", options);
    size_t files = 0;
    for (const auto& item : fs::directory_iterator(folder_ / "whole")) {
      EXPECT_EQ(read_file(item), read_file(out_ / item.path().filename().string())) << item;
      ++files;
    }
    EXPECT_EQ(static_cast<size_t>(std::distance(fs::directory_iterator(out_), {})), files);
  }

  TempFolder folder_;
  fs::path in_ = folder_ / "in", out_ = folder_ / "out", partial_ = folder_ / "out.partial";
  const QuantizeOptions options_{.max_shard_bytes = 4000, .progress = {}};
};

TEST_F(ResumeTest, KilledRun_IsTakenUpWhereItStopped) {
  const Child child = run_in_child([&] { quantize(in_, out_, killed_after(7)); });
  ASSERT_TRUE(WIFSIGNALED(child.status));
  ASSERT_FALSE(fs::exists(out_));
  EXPECT_EQ(quantize(in_, out_, options_).resumed, 7);
  expect_same_as_uninterrupted();
}

TEST_F(ResumeTest, KilledAgainAndAgain_StillEndsWithTheSameArtefact) {
  for (int round = 1; round <= 5; ++round) {
    const Child child = run_in_child([&] { quantize(in_, out_, killed_after(round * 3)); });
    ASSERT_TRUE(WIFSIGNALED(child.status));
  }
  EXPECT_EQ(quantize(in_, out_, options_).resumed, 15);
  expect_same_as_uninterrupted();
}

TEST_F(ResumeTest, FinishedTensorThatWasDamaged_IsMadeAgain) {
  run_in_child([&] { quantize(in_, out_, killed_after(7)); });
  fs::path shard;
  for (const auto& item : fs::directory_iterator(partial_)) {
    if (item.path().filename().string().starts_with("model-00001-of-")) shard = item.path();
  }
  std::string bytes = read_file(shard);
  ASSERT_FALSE(bytes.empty());
  bytes.back() ^= 1;
  write_file(shard, bytes);
  EXPECT_EQ(quantize(in_, out_, options_).resumed, 6);
  expect_same_as_uninterrupted();
}

TEST_F(ResumeTest, DamagedJournal_CostsWorkOnly) {
  run_in_child([&] { quantize(in_, out_, killed_after(7)); });
  const fs::path journal = partial_ / ".quantize-journal";
  const std::string text = read_file(journal);
  write_file(journal, text.substr(0, text.size() - 5));
  EXPECT_EQ(quantize(in_, out_, options_).resumed, 6);
  expect_same_as_uninterrupted();
}

TEST_F(ResumeTest, AnotherJobsLeftovers_AreNotTakenUp) {
  run_in_child([&] { quantize(in_, out_, killed_after(7)); });
  auto tensors = tiny_tensors();
  tensors[0].values[0] = 1.75f;
  write_tiny_folder(in_, DType::kBF16, 1, tensors);
  EXPECT_EQ(quantize(in_, out_, options_).resumed, 0);
  expect_same_as_uninterrupted();
}

TEST_F(ResumeTest, AHeadMadeOfTheEmbedding_IsTakenUpToo) {
  const QuantizeOptions options{.int8_head = true, .progress = {}};
  run_in_child([&] { quantize(in_, out_, killed_after(2, options)); });
  EXPECT_EQ(quantize(in_, out_, options).resumed, 2);  // the embedding and the head
  expect_same_as_uninterrupted(options);
}

TEST_F(ResumeTest, AHeadOfAnotherType_IsMadeAgain) {
  write_untied_folder(in_);
  run_in_child([&] { quantize(in_, out_, killed_after(7, {.progress = {}})); });
  const QuantizeOptions options{.int8_head = true, .progress = {}};
  quantize(in_, out_, options);
  expect_same_as_uninterrupted(options);
}

TEST_F(ResumeTest, SecondRunAtOnce_IsRefused) {
  QuantizeOptions options = options_;
  int tried = 0;
  options.progress = [&](const std::string&, uint64_t, uint64_t) {
    if (tried++ > 0) return;
    EXPECT_INPUT_ERROR(quantize(in_, out_, options_), partial_.string(), "another process");
  };
  quantize(in_, out_, options);
  EXPECT_EQ(tried, 20);
  expect_same_as_uninterrupted();
}

// 96 MiB of one tensor's fp32 in, and less than that of memory on top of what the process had.
TEST_F(ResumeTest, Memory_IsBoundedByTheLargestTensor) {
  constexpr int64_t kVocab = 1 << 20;
  auto config = tiny_config();
  config["vocab_size"] = kVocab;
  auto tensors = tiny_tensors();
  tensors[0].shape = Shape{kVocab, 24};
  tensors[0].values.assign(static_cast<size_t>(kVocab) * 24, 0.5f);
  const Child writer = run_in_child([&] { write_tiny_folder(in_, DType::kF32, 1, tensors); });
  ASSERT_EQ(writer.status, 0);
  write_file(in_ / "config.json", config.dump());
  tensors = {};
  const auto peak = [&](const std::function<void()>& work) {
    return run_in_child(work).usage.ru_maxrss;
  };
  const long idle = peak([] {});
  const long busy = peak([&] { quantize(in_, out_, options_); });
  EXPECT_TRUE(fs::exists(out_));
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(busy - idle, 96 << 10) << "KiB";
#endif
}

}  // namespace
}  // namespace octet
