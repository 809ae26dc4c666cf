// Which steps share their norms out between ranks. That they have the bits of one rank's,
// exactness_test.cc shows.
#include <gtest/gtest.h>

#include <thread>

#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

// Counts the meetings of norms.
class CountingCommunicator : public Communicator {
 public:
  explicit CountingCommunicator(Communicator& ranks) : ranks_(ranks) {}

  std::string name() const override { return ranks_.name(); }
  int rank() const override { return ranks_.rank(); }
  int size() const override { return ranks_.size(); }
  std::span<float> send_buffer(size_t count) override { return ranks_.send_buffer(count); }
  void all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                      std::span<float> out) override {
    ranks_.all_reduce_sum(plan, roots, out);
  }
  UnfoldedSum all_reduce_unfolded(const ReducePlan& plan, std::span<const float> roots,
                                  std::span<float> out, bool in_parts) override {
    return ranks_.all_reduce_unfolded(plan, roots, out, in_parts);
  }
  bool shows() const override { return ranks_.shows(); }
  std::span<const float* const> show(std::span<const float> own) override {
    ++shown;
    return ranks_.show(own);
  }
  void gather(std::span<const float> in, size_t rows, std::span<const size_t> columns,
              std::span<float> out, int root) override {
    ranks_.gather(in, rows, columns, out, root);
  }
  std::span<const std::byte> broadcast(std::span<const std::byte> message, int root) override {
    return ranks_.broadcast(message, root);
  }
  void barrier() override { ranks_.barrier(); }

  int shown = 0;

 private:
  Communicator& ranks_;
};

// How often each of the ranks meets for norms in one step, of a prompt of `tokens`.
std::vector<int> meetings(const std::filesystem::path& model, int size, int tokens) {
  const EngineOptions options{.model = model, .threads = 1};
  auto communicators = make_thread_communicators(size, comm_options(options, size));
  std::vector<int> counts(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      CountingCommunicator counting(*communicators[rank]);
      run_rank(options, counting, [&](Engine& engine) {
        engine.submit({.id = 1,
                       .prompt = std::vector<int32_t>(static_cast<size_t>(tokens), 5),
                       .sampling = {.max_tokens = 1}});
        engine.run([](std::vector<RequestOutput>) {}, true);
      });
      counts[rank] = counting.shown;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return counts;
}

TEST(SharedNorms, AreThoseBehindAReduceFromTwoRowsARankOn) {
  const testing::TempFolder folder;
  const testing::TinyLlama shape;
  const auto model = testing::write_tiny_llama(folder.path() / "model", shape);
  const int norms = 2 * shape.num_hidden_layers;  // but for the first; and the last
  EXPECT_EQ(meetings(model, 1, 8), std::vector<int>(1, 0));
  EXPECT_EQ(meetings(model, 2, 3), std::vector<int>(2, 0));
  EXPECT_EQ(meetings(model, 2, 4), std::vector<int>(2, norms));
  EXPECT_EQ(meetings(model, 3, 5), std::vector<int>(3, 0));
  EXPECT_EQ(meetings(model, 3, 7), std::vector<int>(3, norms));
}

}  // namespace
}  // namespace octet
