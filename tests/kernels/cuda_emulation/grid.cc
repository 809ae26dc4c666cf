#include "tests/kernels/cuda_emulation/grid.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace cuda_emulation {
namespace {

constexpr size_t kGuard = 1024;
constexpr std::byte kFill{0xA5}, kGuardFill{0x5A};
constexpr auto kOutsideLimit = std::chrono::seconds(60);

thread_local Order order_of_threads = Order::kForward;

std::string place(const Site& site) {
  const std::string file = site.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(site.line());
}

}  // namespace

constinit thread_local Thread* current = nullptr;

void set_order(Order order) { order_of_threads = order; }

void Cluster::run(Dim3 index, const std::function<void()>& kernel) {
  for (const auto& block : blocks) {
    block->start(index, kernel);
    ++index.x;
  }
  std::vector<Block*> order;
  for (const auto& block : blocks) order.push_back(block.get());
  if (order_of_threads == Order::kBackward) std::reverse(order.begin(), order.end());
  auto last_progress = std::chrono::steady_clock::now();
  while (alive() > 0) {
    bool progress = false, outside = false;
    for (Block* block : order) {
      while (block->pass()) {
        progress = true;
        if (order_of_threads == Order::kShuffled) break;
      }
      outside |= block->waits_for_outside();
    }
    if (progress) {
      last_progress = std::chrono::steady_clock::now();
    } else if (!outside) {
      order[0]->fail("no thread can go on");
    } else if (std::chrono::steady_clock::now() - last_progress > kOutsideLimit) {
      order[0]->fail("nothing came from outside in a minute");
    } else {
      sched_yield();
    }
  }
  for (const auto& block : blocks) block->finish();
}

unsigned Cluster::alive() const {
  unsigned alive = 0;
  for (const auto& block : blocks) alive += block->alive();
  return alive;
}

Block::Block(Cluster* cluster, Dim3 grid_size, Dim3 block_size, size_t shared_bytes)
    : grid_size(grid_size), size(block_size), cluster_(cluster), shared_bytes_(shared_bytes) {
  if (block_size.count() == 0 || block_size.count() > 1024 || grid_size.count() == 0) {
    fail("a block of " + std::to_string(block_size.count()) + " threads");
  }
  for (unsigned rank = 0; rank < block_size.count(); ++rank) {
    auto thread = std::make_unique<Thread>();
    thread->index = {rank % block_size.x, rank / block_size.x % block_size.y,
                     rank / block_size.x / block_size.y};
    thread->rank = rank;
    thread->block = this;
    order_.push_back(thread.get());
    threads_.push_back(std::move(thread));
  }
  pending_.resize((block_size.count() + kWarp - 1) / kWarp);
  memory_.resize(shared_bytes + 3 * kGuard);
  const auto address = reinterpret_cast<uintptr_t>(memory_.data());
  shared_ = memory_.data() + ((address + 2 * kGuard - 1) / kGuard * kGuard - address);
}

void Block::start(Dim3 block_index, const std::function<void()>& kernel) {
  index = block_index;
  std::fill(memory_.begin(), memory_.end(), kGuardFill);
  std::fill_n(shared_, shared_bytes_, kFill);
  alive_ = size.count();
  for (const auto& thread : threads_) {
    thread->ready = true;
    thread->copies.assign(1, {});
    thread->products.assign(1, {});
    thread->fiber.start(kernel);
  }
}

void Block::finish() {
  for (const std::byte* p = memory_.data(); p < memory_.data() + memory_.size(); ++p) {
    if ((p < shared_ || p >= shared_ + shared_bytes_) && *p != kGuardFill) {
      fail("shared memory written at offset " + std::to_string(p - shared_) + " of " +
           std::to_string(shared_bytes_));
    }
  }
  if (!bulk_copies_.empty()) fail("a bulk copy that nobody waited for");
}

void Block::order_threads() {
  thread_local std::minstd_rand random(1);
  if (order_of_threads == Order::kShuffled) std::shuffle(order_.begin(), order_.end(), random);
  const bool forward = order_[0]->rank <= order_.back()->rank;
  if (order_of_threads == Order::kForward && !forward) std::reverse(order_.begin(), order_.end());
  if (order_of_threads == Order::kBackward && forward) std::reverse(order_.begin(), order_.end());
}

bool Block::pass() {
  order_threads();
  outside_ = false;
  bool progress = false;
  for (Thread* thread : order_) {
    if (!thread->ready || thread->fiber.ended()) continue;
    thread->polling = false;
    current = thread;
    thread->fiber.resume();
    current = nullptr;
    progress |= !thread->polling;
    if (thread->fiber.ended()) {
      --alive_;
      if (thread->copies.size() > 1 || !thread->copies[0].empty()) {
        fail("a thread ended with asynchronous copies that it had not waited for");
      }
      check_barriers();
    }
  }
  return progress;
}

void Block::suspend(const char* what, Site site) {
  Thread* self = current;
  self->waits = what;
  self->site = site;
  self->fiber.suspend();
}

void Block::release(Barrier& barrier) {
  for (Thread* thread : barrier.waiting) thread->ready = true;
  barrier = {};
}

// Threads that end leave __syncthreads to the others.
void Block::check_barriers() {
  if (barriers_[0].arrived > 0 && barriers_[0].count == 0 && barriers_[0].arrived >= alive_) {
    release(barriers_[0]);
  }
}

void Block::barrier_arrive(unsigned id, unsigned count) {
  Barrier& barrier = barriers_.at(id);
  if (barrier.arrived > 0 && barrier.count != count) {
    fail("barrier " + std::to_string(id) + ": " + std::to_string(count) + " threads here, " +
         std::to_string(barrier.count) + " there");
  }
  barrier.count = count;
  if (++barrier.arrived >= (count == 0 ? alive_ : count)) release(barrier);
}

void Block::barrier_sync(unsigned id, unsigned count, Site site) {
  Thread* self = current;
  self->ready = false;
  barriers_.at(id).waiting.push_back(self);
  barrier_arrive(id, count);
  if (!self->ready) suspend(count == 0 ? "__syncthreads" : "a named barrier", site);
}

void Block::cluster_arrive() {
  ++cluster_->arrived;
  current->cluster_phase = cluster_->phase;
}

void Block::cluster_wait(Site site) {
  const auto all_came = [&cluster = *cluster_, phase = current->cluster_phase] {
    if (cluster.phase == phase && cluster.arrived >= cluster.alive()) {
      cluster.arrived = 0;
      ++cluster.phase;
    }
    return cluster.phase != phase;
  };
  wait_until(all_came, "cluster_wait", site);
}

Block& Block::peer(unsigned rank) {
  Block& block = *cluster_->blocks.at(rank);
  if (block.alive_ == 0) fail("reaches into a block that has ended");
  return block;
}

void* Block::place_in(Block& peer, const void* p) const {
  return peer.shared_ + (static_cast<const std::byte*>(p) - shared_);
}

void Block::wait_until(const std::function<bool()>& done, const char* what, Site site,
                       bool outside) {
  for (bool again = false; !done(); again = true) {
    current->polling = again;  // coming here was progress
    outside_ |= outside;
    suspend(what, site);
  }
}

void Block::collective(unsigned mask, const char* what, Site site, void* argument,
                       const std::function<void(const Collective&)>& act) {
  Thread* self = current;
  const unsigned bit = 1u << self->lane();
  if ((mask & bit) == 0) fail(std::string(what) + " by a lane outside of its mask");
  auto& pending = pending_[self->warp()];
  const auto same = [&](const Collective& c) {
    return c.what == what && c.mask == mask && c.site.line() == site.line() &&
           c.site.column() == site.column() && (c.arrived & bit) == 0;
  };
  auto it = std::find_if(pending.begin(), pending.end(), same);
  if (it == pending.end()) {
    for (const Collective& c : pending) {
      if ((c.mask & mask) == 0) continue;
      fail("the lanes of warp " + std::to_string(self->warp()) + " part ways: " + c.what + " at " +
           place(c.site) + " and " + what + " at " + place(site));
    }
    it = pending.insert(pending.end(), {.what = what, .site = site, .mask = mask});
  }
  it->arrived |= bit;
  it->lanes[self->lane()] = argument;
  if (it->arrived != mask) {
    self->ready = false;
    return suspend(what, site);
  }
  const Collective all = *it;
  pending.erase(it);
  act(all);
  for (unsigned lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) != 0) threads_[self->warp() * kWarp + lane]->ready = true;
  }
}

void Block::fail(const std::string& what) const {
  std::fprintf(stderr, "cuda emulation: %s (block %u, %u, %u)\n", what.c_str(), index.x, index.y,
               index.z);
  for (const auto& block : cluster_->blocks) block->list_threads();
  std::abort();
}

void Block::list_threads() const {
  int listed = 0;
  for (const auto& thread : threads_) {
    if (thread->fiber.ended() || thread.get() == current || ++listed > 40) continue;
    std::fprintf(stderr, "  block %u thread %u: %s at %s\n", index.x, thread->rank, thread->waits,
                 place(thread->site).c_str());
  }
}

void Block::require_shared(const void* p, size_t bytes, const char* what) const {
  const auto* begin = static_cast<const std::byte*>(p);
  if (begin >= shared_ && begin + bytes <= shared_ + shared_bytes_) return;
  fail(std::string(what) + " outside of shared memory: offset " + std::to_string(begin - shared_) +
       ", " + std::to_string(bytes) + " bytes, of " + std::to_string(shared_bytes_));
}

void run_grid(Dim3 grid, Dim3 block_size, size_t shared_bytes, const std::function<void()>& kernel,
              unsigned cluster_size) {
  Cluster cluster;
  for (unsigned i = 0; i < cluster_size; ++i) {
    cluster.blocks.push_back(std::make_unique<Block>(&cluster, grid, block_size, shared_bytes));
  }
  if (grid.x % cluster_size != 0) cluster.blocks[0]->fail("a grid that is not whole clusters");
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; x += cluster_size) cluster.run({x, y, z}, kernel);
    }
  }
}

}  // namespace cuda_emulation
