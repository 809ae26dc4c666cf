// The NCCL that the device tests run: the emulation's, or the machine's.
#pragma once

#include "comm/nccl/nccl_library.h"

namespace octet::testing {

const peers::NcclLibrary& nccl_under_test();

}  // namespace octet::testing
