#include "tests/comm/nccl_under_test.h"

namespace octet::testing {

const peers::NcclLibrary& nccl_under_test() { return peers::nccl_library(); }

}  // namespace octet::testing
