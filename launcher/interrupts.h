// What SIGINT and SIGTERM do to this process: the last of these that was called. Main thread;
// was_interrupted() and interrupt_flag(): any.
#pragma once

#include <atomic>

namespace octet {

// They end it at once, whatever it waits for, with a line on stderr and kExitInterrupted. One that
// is ignored when this is called, as by a shell's job in the background, stays so.
void end_when_interrupted();

// After that: without the line, as they end any process. For ranks, whose mpirun ends them. What
// is kept stays kept.
void end_silently_when_interrupted();

enum class SecondInterrupt { kIgnored, kEnds };
// They are kept for who asks; a second one does nothing more, or ends the process.
void keep_interrupts(SecondInterrupt second);

bool was_interrupted();
const std::atomic<bool>& interrupt_flag();  // the same, as it changes

}  // namespace octet
