// A grid of thread blocks on the CPU: what a kernel's threads are, and where they meet.
//
// Clusters of blocks run one after the other on the calling OS thread; the blocks of a cluster take
// turns, each going on as far as it can. The threads of a block are fibers, run round robin from
// one meeting point (barrier, warp collective, wait) to the next, in an order that tests may turn
// round. A thread that waits for what never comes ends the process with a list of who waits where:
// that is how lanes that part ways show, and barriers that not all reach.
//
// Shared memory is filled with 0xA5 at the start of each block and lies between guards.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <vector>

#include "tests/kernels/cuda_emulation/fiber.h"

namespace cuda_emulation {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr Dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  unsigned count() const { return x * y * z; }
};

using Site = std::source_location;
inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Which thread of a block runs first between two meeting points. A kernel that lacks a barrier
// gives wrong results in at least one of them.
enum class Order { kForward, kBackward, kShuffled };
void set_order(Order order);  // of this OS thread's launches to come

// What lanes of one warp do together. Each lane brings its argument; the last to arrive acts.
struct Collective {
  const char* what = nullptr;
  Site site;
  unsigned mask = 0, arrived = 0;
  std::array<void*, kWarp> lanes{};
};

struct Copy {
  void* to = nullptr;
  const void* from = nullptr;
  unsigned bytes = 0, zeros = 0;  // zeros behind the bytes
  void* barrier = nullptr;        // of a bulk copy
};

class Block;

struct Thread {
  Dim3 index;
  unsigned rank = 0;  // in the block
  Block* block = nullptr;
  Fiber fiber;
  bool ready = true;
  bool polling = false;    // ran, and found that it must wait on
  const char* waits = "";  // at what, and where
  Site site;
  std::vector<std::vector<Copy>> copies;  // asynchronous: closed groups, then the open one
  std::vector<std::vector<std::function<void()>>> products;  // the same of warp groups' products
  unsigned cluster_phase = 0;                                // in which it arrived last

  unsigned lane() const { return rank % kWarp; }
  unsigned warp() const { return rank / kWarp; }
};

// The thread that runs now on this OS thread; null outside of kernels.
extern constinit thread_local Thread* current;

// Blocks that reach into each other's shared memory, neighbours along x.
struct Cluster {
  std::vector<std::unique_ptr<Block>> blocks;
  unsigned arrived = 0, phase = 0;  // of the cluster's barrier

  void run(Dim3 index, const std::function<void()>& kernel);  // index: the first block's
  unsigned alive() const;
};

class Block {
 public:
  Block(Cluster* cluster, Dim3 grid_size, Dim3 block_size, size_t shared_bytes);
  void start(Dim3 index, const std::function<void()>& kernel);
  bool pass();  // runs each ready thread once; false: none got on
  void finish();

  Dim3 grid_size, size, index;
  std::span<std::byte> shared() { return {shared_, shared_bytes_}; }
  unsigned alive() const { return alive_; }  // threads that have not ended
  bool waits_for_outside() const { return outside_; }
  // A block of the same cluster, which must still run, and where it has what is at `p` here.
  Block& peer(unsigned rank);
  void* place_in(Block& peer, const void* p) const;
  std::vector<Copy>& bulk_copies() { return bulk_copies_; }

  // Meeting points; called by the current thread.
  void barrier_arrive(unsigned id, unsigned count);
  void barrier_sync(unsigned id, unsigned count, Site site);  // count 0: all that have not ended
  void cluster_arrive();
  void cluster_wait(Site site);
  // Stops until `done` holds; it is asked again whenever other threads have run. `outside`: other
  // OS threads or processes may make it true.
  void wait_until(const std::function<bool()>& done, const char* what, Site site,
                  bool outside = false);
  void collective(unsigned mask, const char* what, Site site, void* argument,
                  const std::function<void(const Collective&)>& act);

  [[noreturn]] void fail(const std::string& what) const;
  // Ends the process unless [p, p + bytes) lies in the block's dynamic shared memory.
  void require_shared(const void* p, size_t bytes, const char* what) const;

 private:
  struct Barrier {
    unsigned arrived = 0, count = 0;
    std::vector<Thread*> waiting;
  };
  void suspend(const char* what, Site site);
  void release(Barrier& barrier);
  void check_barriers();
  void list_threads() const;
  void order_threads();

  Cluster* cluster_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Thread*> order_;
  std::vector<std::vector<Collective>> pending_;  // by warp
  std::array<Barrier, 16> barriers_;
  std::vector<std::byte> memory_;
  std::byte* shared_ = nullptr;
  size_t shared_bytes_ = 0;
  unsigned alive_ = 0;
  bool outside_ = false;
  std::vector<Copy> bulk_copies_;
};

// Runs `kernel` in each thread of the grid; returns when all have ended. Clusters of `cluster`
// blocks along x; their __shared__ variables would be one, so there are none.
void run_grid(Dim3 grid, Dim3 block, size_t shared_bytes, const std::function<void()>& kernel,
              unsigned cluster = 1);

// A warp collective of lanes that each bring a Lane; `act` sees them all (null: not in the mask).
template <typename Lane, typename Act>
void meet(unsigned mask, const char* what, Site site, Lane& mine, const Act& act) {
  current->block->collective(mask, what, site, &mine, [&](const Collective& all) {
    std::array<Lane*, kWarp> lanes;
    for (unsigned i = 0; i < kWarp; ++i) lanes[i] = static_cast<Lane*>(all.lanes[i]);
    act(lanes);
  });
}

}  // namespace cuda_emulation
