// Communicator: THE rank seam. This file is its specification: a new transport copies comm/mpi/,
// adds one row to communicator_factory.cc, and is done when the contract suite
// (tests/comm/contract.cc) passes for it at 1 to 4 and 8 ranks.
//
// A group of size() ranks; every rank calls the same operations in the same order with matching
// arguments (else the result is undefined, as in MPI). Waiting spins briefly, then yields, then
// sleeps: more ranks than cores make progress.
//
// Threads: one thread drives a Communicator. Ownership: it borrows the caller's memory for the call
// only. Errors: RankLost when a peer is gone or a wait outlasts the timeout; the communicator is
// unusable afterwards. A violated REQUIRES is a bug (OCTET_CHECK).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "comm/reduce_plan.h"

namespace octet {

// A peer died or stopped answering (the second of the three kinds of failure).
class RankLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual std::string name() const = 0;  // "shm", "mpi", "thread", "local"
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Memory for `count` floats into which a caller may write the next all_reduce_sum's roots, so
  // that they need no copy. Valid until the all_reduce_sum that takes it has returned. REQUIRES:
  // count <= max_reduce_floats.
  virtual std::span<float> send_buffer(size_t count) = 0;

  // out = the value of the plan's tree, the same bits on every rank and at every size(). out must
  // not overlap roots. count = out.size() may be 0. REQUIRES: plan.size() == size(); roots.size()
  // == plan.num_roots(rank()) * out.size()
  // <= max_reduce_floats.
  virtual void all_reduce_sum(const ReducePlan& plan,
                              std::span<const float> roots,  // [plan.num_roots(rank()), count]
                              std::span<float> out) = 0;     // [count]

  // Rank `root` receives every rank's rows, in rank order: out = [counts[0] | counts[1] | ...]
  // floats. `in` has counts[rank()] floats; `out` is ignored elsewhere. Counts are the same on all
  // ranks; any may be 0.
  virtual void gather(std::span<const float> in, std::span<const size_t> counts,
                      std::span<float> out, int root) = 0;

  // Every rank receives root's message; the others pass {}. The result is valid until the next call
  // of any operation. A group without work waits here: no timeout, only the root's death ends the
  // wait. REQUIRES: message.size() <= max_message_bytes.
  virtual std::span<const std::byte> broadcast(std::span<const std::byte> message, int root) = 0;

  virtual void barrier() = 0;
};

}  // namespace octet
