#include "comm/nccl/nccl_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <stdexcept>

namespace octet::peers {
namespace {

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) {
    throw std::invalid_argument(
        fmt::format("libnccl.so.2 has no {}; 2.18 or later is needed", name));
  }
}

NcclLibrary load() {
  void* library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    throw std::invalid_argument(fmt::format("the nccl communicator needs NCCL; {}", dlerror()));
  }
  NcclLibrary nccl;
  find(library, "ncclGetVersion", nccl.get_version);
  find(library, "ncclGetUniqueId", nccl.get_unique_id);
  find(library, "ncclGetErrorString", nccl.error_string);
  find(library, "ncclCommInitRankConfig", nccl.comm_init);
  find(library, "ncclCommFinalize", nccl.comm_finalize);
  find(library, "ncclCommDestroy", nccl.comm_destroy);
  find(library, "ncclCommAbort", nccl.comm_abort);
  find(library, "ncclCommGetAsyncError", nccl.async_error);
  find(library, "ncclGroupStart", nccl.group_start);
  find(library, "ncclGroupEnd", nccl.group_end);
  find(library, "ncclSend", nccl.send);
  find(library, "ncclRecv", nccl.recv);
  find(library, "ncclAllGather", nccl.all_gather);
  find(library, "ncclAllReduce", nccl.all_reduce);
  return nccl;
}

}  // namespace

int NcclLibrary::version() const {
  int version = 0;
  get_version(&version);
  return version;
}

const NcclLibrary& nccl_library() {
  static const NcclLibrary library = load();
  return library;
}

std::string nccl_version_text(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace octet::peers
