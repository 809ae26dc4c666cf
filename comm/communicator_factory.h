// Makes a Communicator, and holds the process's membership of the MPI world. No MPI header is seen
// outside comm/mpi and comm/shm.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "kernels/backend.h"

namespace octet {

struct CommOptions {
  // "auto" | "local" | "shm" | "mpi"; auto, ipc, nccl: local at one rank, shm on one host, else
  // mpi. "lone": rank 0 of lone_size, without the others.
  std::string kind = "auto";
  std::string reduce = "ordered";  // "fast": NCCL's own sum, whose bits depend on the ranks
  int lone_size = 1;
  size_t max_reduce_floats =
      1 << 20;  // roots of one all_reduce_sum, and rows of one gather, on one rank
  size_t max_message_bytes = 1 << 20;
  std::chrono::milliseconds timeout{
      60000};  // the longest wait for a peer while it is known to be working
};

// The same group for a back end with a queue (Backend::queue): see "Memory and order" in
// communicator.h. `host` is the group's communicator for everything else and is borrowed.
// options.kind: "ipc": GPUs of one host that read each other's memory; "nccl": any; "lone"; else
// the one of these that fits. Collective. Throws std::invalid_argument where this build, the kind
// or the binding of ranks to GPUs does not allow it.
std::unique_ptr<Communicator> make_device_communicator(Communicator& host, const DeviceQueue& queue,
                                                       const CommOptions& options);

// The process's membership of the MPI world; at most one lives. Without mpirun a world of one rank,
// and MPI is not started. ~World leaves the world; when an exception is in flight, or abort() was
// called, it ends the other ranks too.
class World {
 public:
  World(int* argc, char*** argv);  // throws std::invalid_argument, see require_company
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int local_rank() const { return local_rank_; }  // among the ranks of this host
  int local_size() const { return local_size_; }

  // Collective. Throws std::invalid_argument for an unknown kind, or shm across hosts.
  std::unique_ptr<Communicator> make_communicator(const CommOptions& options);

  // Ends every process of the group with `exit_code`. Does not return.
  [[noreturn]] void abort(int exit_code);

  static bool launched_by_mpi();  // from the environment; before any World

  // Throws std::invalid_argument where srun or another MPI's mpiexec has started several processes,
  // but this one is alone in its world.
  static void require_company(int world_size);

 private:
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
  bool mpi_ = false;
};

// Bytes that such a communicator's buffers take of each rank's host, on a group of `size` ranks.
// "auto" counts as ranks of one host.
size_t communicator_bytes(const CommOptions& options, int size);

// `size` communicators for `size` threads of this process; [r] is rank r's. For tests.
std::vector<std::unique_ptr<Communicator>> make_thread_communicators(
    int size, const CommOptions& options = {});

}  // namespace octet
