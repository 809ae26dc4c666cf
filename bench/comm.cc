#include "bench/comm.h"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "bench/reporter.h"

namespace octet::bench {
namespace {

using Clock = std::chrono::steady_clock;

// All ranks do `iterations` of `operation`, kRepetitions times.
std::vector<double> time_together(Communicator& communicator, int iterations,
                                  const std::function<void()>& operation) {
  std::vector<double> seconds;
  for (int i = 0; i <= kRepetitions; ++i) {
    communicator.barrier();
    const auto start = Clock::now();
    for (int k = 0; k < iterations; ++k) operation();
    const std::chrono::duration<double> spent = Clock::now() - start;
    if (i > 0) seconds.push_back(spent.count() / iterations);  // the first warms up
  }
  return seconds;
}

// New data before each operation, as in a model: what a peer reads was just written by its owner.
// The writing's own time, measured alone, is taken off.
class ReduceBench {
 public:
  ReduceBench(Communicator& communicator, size_t count)
      : communicator_(communicator),
        plan_(communicator.size(), communicator.size()),
        count_(count),
        iterations_(static_cast<int>(std::clamp<size_t>(20'000'000 / (count + 1000), 50, 20000))),
        out_(count),
        own_(count) {}

  void run() {
    const auto write = [&](std::span<float> to) { std::ranges::fill(to, value_ += 1); };
    const double writing = median(time_together(communicator_, iterations_, [&] { write(own_); }));
    report(
        communicator_.name() + " all_reduce",
        [&] {
          const std::span<float> roots = communicator_.send_buffer(count_);
          write(roots);
          communicator_.all_reduce_sum(plan_, roots, out_);
        },
        writing);
    if (!World::launched_by_mpi()) return;
    report(
        "Open MPI MPI_Allreduce",
        [&] {
          write(own_);
          MPI_Allreduce(own_.data(), out_.data(), static_cast<int>(count_), MPI_FLOAT, MPI_SUM,
                        MPI_COMM_WORLD);
        },
        writing);
  }

 private:
  void report(const std::string& name, const std::function<void()>& operation, double writing) {
    std::vector<double> seconds = time_together(communicator_, iterations_, operation);
    if (communicator_.rank() != 0) return;
    for (double& time : seconds) time = std::max(time - writing, 1e-9);
    print_row({.name = fmt::format("{} {} KiB", name, count_ * sizeof(float) / 1024.0),
               .seconds = std::move(seconds),
               .work = {.bytes = static_cast<double>(count_) * sizeof(float)}});
  }

  Communicator& communicator_;
  const ReducePlan plan_;
  const size_t count_;
  const int iterations_;
  std::vector<float> out_, own_;
  float value_ = 0;
};

}  // namespace

void bench_comm(World& world, const std::string& kind) {
  const auto communicator = world.make_communicator({.kind = kind});
  if (world.rank() == 0) {
    fmt::print("{} ranks; GB/s are of the vector that is summed\n", world.size());
    print_header();
  }
  const std::vector<double> barrier =
      time_together(*communicator, 20000, [&] { communicator->barrier(); });
  if (world.rank() == 0) print_row({.name = communicator->name() + " barrier", .seconds = barrier});
  for (const size_t kib : {1, 8, 64, 256, 1024, 4096}) {
    ReduceBench(*communicator, kib * 1024 / sizeof(float)).run();
  }
}

}  // namespace octet::bench
