// The reference back end: plain loops on the host, one thread, no cleverness. The oracle that every
// other back end is tested against, and the template for a new one.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace octet {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace octet
