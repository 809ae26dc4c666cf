// What SIGINT and SIGTERM do to this process: the last of these that was called. One that was
// ignored when this process began, as by a shell's job in the background, stays so. Main thread;
// was_interrupted() and interrupt_flag(): any.
#pragma once

#include <atomic>

namespace octet {

// They end it at once, whatever it waits for, as end_as_interrupted() does.
void end_when_interrupted();

// After that: without the line, as they end any process. For ranks, whose mpirun ends them. What
// is kept stays kept.
void end_silently_when_interrupted();

enum class SecondInterrupt { kIgnored, kEnds };
// They are kept for who asks; a second one does nothing more, or ends the process.
void keep_interrupts(SecondInterrupt second);

// With kExitInterrupted and a line, where stderr takes one now. Destroys nothing.
[[noreturn]] void end_as_interrupted();

bool was_interrupted();
const std::atomic<bool>& interrupt_flag();  // the same, as it changes

}  // namespace octet
