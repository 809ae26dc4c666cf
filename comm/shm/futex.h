// Sleeping on a 32-bit word that other threads or processes change.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace octet {

// Returns when woken, when the word no longer is `expected`, or after `limit`; spuriously too.
void futex_wait(std::atomic<uint32_t>& word, uint32_t expected, std::chrono::milliseconds limit);
void futex_wake_all(std::atomic<uint32_t>& word);

}  // namespace octet
