// Which of its host's NUMA nodes a rank runs on.
#pragma once

#include <string>

namespace octet {

// The processors of this rank's share of the host's nodes, "0-3,8-11": ranks are spread over the
// nodes that have processors evenly and in order. Empty: no share. So it is where there is one node
// or one rank, where neither number divides the other (the ranks' shares would differ), where the
// process is bound already (mpirun --bind-to, srun --cpu-bind, numactl), which stands, and where
// hwloc cannot read the host.
std::string numa_processors(int local_rank, int local_size);

// Binds this process, all its threads, to them; what it touches first from then on lies on its own
// nodes. False: it is not bound; there is no share, or that failed, which it says.
bool bind_to_numa_nodes(int local_rank, int local_size);

}  // namespace octet
