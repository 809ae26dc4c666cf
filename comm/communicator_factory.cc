#include "comm/communicator_factory.h"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <exception>
#include <stdexcept>

#include "comm/lone_communicator.h"
#include "comm/mpi/mpi_communicator.h"
#include "comm/shm/mapping.h"
#include "comm/shm/shared_communicator.h"

namespace octet {
namespace {

RegionLayout layout_of(int size, const CommOptions& options) {
  return {.size = size,
          .buffer_floats = options.max_reduce_floats,
          .message_bytes = options.max_message_bytes + sizeof(uint64_t)};
}

// One region for the ranks of a host: the first makes it, tells its name, and takes the name away
// once all have it.
std::unique_ptr<Communicator> make_shared(int rank, int size, const CommOptions& options) {
  const RegionLayout layout = layout_of(size, options);
  std::array<char, 64> name{};
  std::shared_ptr<std::byte> memory;
  std::string error;
  if (rank == 0) {
    name_of_region().copy(name.data(), name.size() - 1);
    try {
      memory = map_named(name.data(), layout.bytes(), true);
    } catch (const std::exception& failed) {
      error = failed.what();
      name[0] = 0;
    }
  }
  MPI_Bcast(name.data(), static_cast<int>(name.size()), MPI_CHAR, 0, MPI_COMM_WORLD);
  if (name[0] == 0) throw std::runtime_error("shared memory of the group: " + error);
  if (rank != 0) memory = map_named(name.data(), layout.bytes(), false);
  auto communicator = std::make_unique<SharedCommunicator>("shm", SharedRegion(memory, layout),
                                                           rank, options.timeout, true);
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0) unlink_named(name.data());
  return communicator;
}

}  // namespace

bool World::launched_by_mpi() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(variable) != nullptr) return true;
  }
  return false;
}

void World::require_company(int world_size) {
  if (world_size > 1 || std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) return;
  for (const char* variable : {"SLURM_STEP_NUM_TASKS", "PMI_SIZE"}) {
    const char* tasks = std::getenv(variable);
    if (tasks == nullptr || std::atoi(tasks) <= 1) continue;
    throw std::invalid_argument(fmt::format(
        "{} is {}, but this process is alone in its MPI world: the launcher did not connect them; "
        "start the ranks with srun --mpi=pmix (srun --mpi=list must show it) or with Open MPI's "
        "mpirun",
        variable, tasks));
  }
}

World::World(int* argc, char*** argv) {
  if (!launched_by_mpi()) {
    require_company(1);
    return;
  }
  int provided = 0;
  MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
  mpi_ = true;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  MPI_Comm host;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &host);
  MPI_Comm_rank(host, &local_rank_);
  MPI_Comm_size(host, &local_size_);
  MPI_Comm_free(&host);
  require_company(size_);
}

World::~World() {
  if (!mpi_) return;
  if (std::uncaught_exceptions() > 0) abort(1);
  MPI_Finalize();
}

void World::abort(int exit_code) {
  if (mpi_) MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

std::unique_ptr<Communicator> World::make_communicator(const CommOptions& options) {
  std::string kind = options.kind;
  if (kind == "auto" || kind == "ipc" || kind == "nccl") {
    kind = size_ == 1 ? "local" : local_size_ == size_ ? "shm" : "mpi";
  }
  if (kind == "lone" && size_ == 1) {
    return std::make_unique<LoneCommunicator>(options.lone_size, options.max_reduce_floats);
  }
  if (kind == "local" && size_ == 1) {
    return std::make_unique<LoneCommunicator>(1, options.max_reduce_floats);
  }
  if (kind == "shm" && mpi_ && local_size_ == size_) return make_shared(rank_, size_, options);
  if (kind == "mpi" && mpi_) return std::make_unique<MpiCommunicator>(options);
  throw std::invalid_argument(fmt::format(
      "--communicator is \"{}\", which {} rank(s), {} of them on this host, cannot use; "
      "known: auto, local (one rank), shm (one host), mpi (under mpirun), lone (one rank of "
      "several); of GPUs ipc (one host), nccl",
      options.kind, size_, local_size_));
}

size_t communicator_bytes(const CommOptions& options, int size) {
  const bool lone = options.kind == "lone" || (size == 1 && options.kind != "shm");
  if (options.kind == "mpi") return MpiCommunicator::bytes(options, size);
  if (lone) return options.max_reduce_floats * sizeof(float);
  return layout_of(size, options).bytes() / static_cast<size_t>(size);
}

std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int size,
                                                                     const CommOptions& options) {
  std::vector<std::unique_ptr<Communicator>> ranks;
  if (size == 1) {
    ranks.push_back(std::make_unique<LoneCommunicator>(1, options.max_reduce_floats));
    return ranks;
  }
  const RegionLayout layout = layout_of(size, options);
  const auto memory = map_anonymous(layout.bytes());
  for (int rank = 0; rank < size; ++rank) {
    ranks.push_back(std::make_unique<SharedCommunicator>("thread", SharedRegion(memory, layout),
                                                         rank, options.timeout, false));
  }
  return ranks;
}

}  // namespace octet
