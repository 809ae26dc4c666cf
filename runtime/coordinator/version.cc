#include "runtime/coordinator/version.h"

namespace octet {

std::string octet_version() { return OCTET_VERSION; }

}  // namespace octet
