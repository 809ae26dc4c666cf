// What the driver knows of devices and of memory that processes share. Errors: std::runtime_error
// with CUDA's words.
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace octet::peers {

using MemoryHandle = std::array<std::byte, 64>;  // of a cudaMalloc, for other processes of the host

std::string bus_id(int device);  // "0000:3b:00.0"
// The device that this process knows by the bus id; -1: it sees none.
int device_of(const std::string& bus_id);
bool can_read(int device, int peer_device);  // over NVLink or PCIe
void allow_reading(int peer_device);  // by this thread's device, where both are this process's

MemoryHandle export_memory(void* memory);
void* import_memory(const MemoryHandle& handle);  // for close_imported
void close_imported(void* memory) noexcept;

}  // namespace octet::peers
