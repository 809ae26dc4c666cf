#include "tests/comm/nccl_under_test.h"

namespace octet::testing {

const peers::NcclLibrary& nccl_under_test() {
  static const peers::NcclLibrary library{.get_version = ncclGetVersion,
                                          .get_unique_id = ncclGetUniqueId,
                                          .error_string = ncclGetErrorString,
                                          .comm_init = ncclCommInitRankConfig,
                                          .comm_finalize = ncclCommFinalize,
                                          .comm_destroy = ncclCommDestroy,
                                          .comm_abort = ncclCommAbort,
                                          .async_error = ncclCommGetAsyncError,
                                          .group_start = ncclGroupStart,
                                          .group_end = ncclGroupEnd,
                                          .send = ncclSend,
                                          .recv = ncclRecv,
                                          .all_gather = ncclAllGather,
                                          .all_reduce = ncclAllReduce};
  return library;
}

}  // namespace octet::testing
