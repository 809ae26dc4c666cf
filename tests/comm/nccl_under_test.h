// The NCCL that the emulated device tests run.
#pragma once

#include "comm/nccl/nccl_library.h"

namespace octet::testing {

const peers::NcclLibrary& nccl_under_test();

}  // namespace octet::testing
