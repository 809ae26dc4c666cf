// NCCL's functions, found when they are wanted first: the program starts without NCCL, too.
#pragma once

#include <nccl.h>

#include <string>

namespace octet::peers {

inline constexpr int kNcclSharesGpus = 23000;  // from here on several ranks may run on one GPU

struct NcclLibrary {
  decltype(&ncclGetVersion) get_version = nullptr;
  decltype(&ncclGetUniqueId) get_unique_id = nullptr;
  decltype(&ncclGetErrorString) error_string = nullptr;
  decltype(&ncclCommInitRankConfig) comm_init = nullptr;
  decltype(&ncclCommFinalize) comm_finalize = nullptr;
  decltype(&ncclCommDestroy) comm_destroy = nullptr;
  decltype(&ncclCommAbort) comm_abort = nullptr;
  decltype(&ncclCommGetAsyncError) async_error = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
  decltype(&ncclSend) send = nullptr;
  decltype(&ncclRecv) recv = nullptr;
  decltype(&ncclAllGather) all_gather = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;

  int version() const;  // 22809 for 2.28.9
};

// libnccl.so.2. Throws std::invalid_argument where it cannot be loaded. Any thread.
const NcclLibrary& nccl_library();

std::string nccl_version_text(int version);  // "2.28.9"

}  // namespace octet::peers
