// The driver's part on the emulation: one device, and ranks that are threads of this process.
#include "comm/nccl/peer_access.h"

#include <stdexcept>

namespace octet::peers {

std::string bus_id(int) { return "0000:00:00.0"; }
int device_of(const std::string&) { return 0; }
bool can_read(int, int) { return true; }
void allow_reading(int) {}
MemoryHandle export_memory(void*) { throw std::runtime_error("no other processes"); }
void* import_memory(const MemoryHandle&) { throw std::runtime_error("no other processes"); }
void close_imported(void*) noexcept {}

}  // namespace octet::peers
