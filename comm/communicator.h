// Communicator: THE rank seam. This file is its specification: a new transport copies comm/mpi/,
// adds one row to communicator_factory.cc, and is done when the contract suite
// (tests/comm/contract.cc) passes for it at 1 to 4 and 8 ranks.
//
// A group of size() ranks; every rank calls the same operations in the same order with matching
// arguments (else the result is undefined, as in MPI). Waiting spins briefly, then yields, then
// sleeps: more ranks than cores make progress.
//
// Memory and order: spans of floats are host memory and an operation is done when it returns,
// unless the communicator was made for a device (make_device_communicator). Then they are that
// device's memory, 16-byte aligned, and an operation is one more of the back end's queue: it runs
// after what was queued before it, may return before it is done, and may be captured and replayed
// with the operations around it, where the replayed part ends with a gather. Messages are host
// memory always.
//
// Threads: one thread drives a Communicator. Ownership: it borrows the caller's memory until the
// operation is done. Errors: RankLost when a peer is gone or a wait outlasts the timeout, from the
// operation or from settle(); the communicator is unusable afterwards. A violated REQUIRES is a bug
// (OCTET_CHECK).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "comm/reduce_plan.h"
#include "kernels/check.h"

namespace octet {

// A peer died or stopped answering (the second of the three kinds of failure).
class RankLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual std::string name() const = 0;  // "shm", "mpi", "thread", "local"; "ipc", "nccl"
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Memory for `count` floats into which a caller may write the next reduce's roots, or what it
  // shows next, so that they need no copy. Valid until the operation that takes it has returned.
  // REQUIRES: count <= max_reduce_floats.
  virtual std::span<float> send_buffer(size_t count) = 0;

  // out = the value of the plan's tree, the same bits on every rank and at every size(). out must
  // not overlap roots. count = out.size() may be 0. REQUIRES: plan.size() == size(); roots.size()
  // == plan.num_roots(rank()) * out.size()
  // <= max_reduce_floats.
  virtual void all_reduce_sum(const ReducePlan& plan,
                              std::span<const float> roots,  // [plan.num_roots(rank()), count]
                              std::span<float> out) = 0;     // [count]

  // The same sum for a reader that makes each element where it needs it: every rank's roots and the
  // order to add them in. A transport that cannot show them makes the sum in `out` and returns an
  // empty one; else `out` stays as it is. Valid until this rank's next operation, send_buffer() and
  // settle() not counted; until then `roots` and `plan` must stay, too. in_parts: the ranks read
  // different parts of it; one that shows() then leaves every sum unfolded.
  virtual UnfoldedSum all_reduce_unfolded(const ReducePlan& plan, std::span<const float> roots,
                                          std::span<float> out, bool in_parts) {
    static_cast<void>(in_parts);
    all_reduce_sum(plan, roots, out);
    return {};
  }

  // Can a rank read its peers' memory?
  virtual bool shows() const { return false; }

  // Where every rank's `own` is, or a copy, in rank order; sizes may differ. Valid until this
  // rank's next operation, as an unfolded sum. REQUIRES: shows(); own.size() <= max_reduce_floats.
  virtual std::span<const float* const> show(std::span<const float> own) {
    OCTET_CHECK(false, "{} floats to show by {}", own.size(), name());
  }

  // Rank `root` receives every rank's columns side by side, in rank order; `out` is ignored
  // elsewhere. rows and columns are the same on all ranks; any may be 0. REQUIRES: in.size() ==
  // rows
  // * columns[rank()] <= max_reduce_floats.
  virtual void gather(std::span<const float> in,  // [rows, columns[rank()]]
                      size_t rows, std::span<const size_t> columns,
                      std::span<float> out,  // [rows, sum of columns]
                      int root) = 0;

  // Every rank receives root's message; the others pass {}. The result is valid until the next call
  // of any operation. A group without work waits here: no timeout, only the root's death ends the
  // wait. REQUIRES: message.size() <= max_message_bytes.
  virtual std::span<const std::byte> broadcast(std::span<const std::byte> message, int root) = 0;

  virtual void barrier() = 0;

  // Returns when all operations so far are done on this rank, those of the back end before them
  // too.
  virtual void settle() {}
};

}  // namespace octet
