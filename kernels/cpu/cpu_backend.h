// The CPU back end: one instruction set, chosen at run time, and a pool of threads.
#pragma once

#include <memory>
#include <span>

#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"

namespace octet {

// threads: 0 means as many as this process may run on.
std::unique_ptr<Backend> make_cpu_backend(const cpu::KernelTable& kernels, int threads);

// What this build has, best first.
std::span<const cpu::KernelTable* const> cpu_kernel_tables();

}  // namespace octet
