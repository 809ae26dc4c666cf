// MpiCommunicator: any hosts, over MPI's point-to-point and gathering operations. MPI adds nothing
// itself: the order of the float sums is the plan's.
#pragma once

#include <mpi.h>

#include <chrono>
#include <vector>

#include "comm/communicator.h"
#include "comm/communicator_factory.h"

namespace octet {

class MpiCommunicator : public Communicator {
 public:
  explicit MpiCommunicator(const CommOptions& options);  // over MPI_COMM_WORLD; collective
  ~MpiCommunicator() override;

  static size_t bytes(const CommOptions& options, int size);  // at most

  std::string name() const override { return "mpi"; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::span<float> send_buffer(size_t count) override;
  void all_reduce_sum(const ReducePlan& plan, std::span<const float> roots,
                      std::span<float> out) override;
  void gather(std::span<const float> in, size_t rows, std::span<const size_t> columns,
              std::span<float> out, int root) override;
  std::span<const std::byte> broadcast(std::span<const std::byte> message, int root) override;
  void barrier() override;

 private:
  enum class Patience { kTimeout, kForever };

  void complete(MPI_Request request, const char* operation, Patience patience);
  void exchange_whole(const ReducePlan& plan, std::span<const float> roots, std::span<float> out);
  void exchange_slices(const ReducePlan& plan, std::span<const float> roots, std::span<float> out);

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
  const CommOptions options_;
  std::vector<float> send_, packed_, received_;
  std::vector<std::byte> message_;
  std::vector<const float*> roots_;
};

}  // namespace octet
