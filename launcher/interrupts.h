// What SIGINT and SIGTERM do to this process: nothing of their own, until one of these is called;
// the last call counts. Main thread; was_interrupted() and interrupt_flag(): any.
#pragma once

#include <atomic>

namespace octet {

// They end it at once, whatever it waits for, with a line on stderr and kExitInterrupted.
void end_when_interrupted();

enum class SecondInterrupt { kIgnored, kEnds };
// They are kept for who asks; a second one does nothing more, or ends the process.
void keep_interrupts(SecondInterrupt second);

bool was_interrupted();
const std::atomic<bool>& interrupt_flag();  // the same, as it changes

}  // namespace octet
