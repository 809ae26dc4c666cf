// Is a peer's process still running?
#pragma once

#include <cstdint>

namespace octet {

int32_t current_process();

// False when the process is gone or a zombie. Cheap enough for every 20 ms.
bool process_alive(int32_t pid);

}  // namespace octet
