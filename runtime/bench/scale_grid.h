// The grid of `octet scale`: ranks of a group x groups x load. Plain data.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace octet {

struct ScaleGroup {
  int tensor_parallel_size = 1, replicas = 1;

  int ranks() const { return tensor_parallel_size * replicas; }
  std::string name() const;  // "tp 2 x 3"
  bool operator==(const ScaleGroup&) const = default;
};

struct ScaleCell {
  ScaleGroup group;
  double rate = 0;         // requests/s over all replicas; kAtOnce; 0: a closed loop
  size_t concurrency = 0;  // of the closed loop, over all replicas

  std::string load() const;  // "8 requests/s", "all at once", "16 at a time"
  std::string file() const;  // "tp2-r3-rate8"
};

struct ScaleGrid {
  std::vector<int> tensor_parallel_sizes, replicas;
  std::vector<double> rates;
  std::vector<size_t> concurrencies;

  std::vector<ScaleGroup> groups() const;  // by ranks, then as given
  std::vector<ScaleCell> cells(const ScaleGroup& group) const;
};

// One host's name a slot of mpirun's hostfile: lines are HOST or HOST slots=N; # begins a comment.
// Throws InputError naming `source` for a line that is neither.
std::vector<std::string> hostfile_slots(const std::string& text, const std::string& source);

// mpirun host files, one for each replica, out of one for all: each replica gets the next
// tensor_parallel_size slots. Throws InputError as hostfile_slots() does, and where they are too
// few.
std::vector<std::string> split_hosts(const std::string& text, const std::string& source,
                                     const ScaleGroup& group);

}  // namespace octet
