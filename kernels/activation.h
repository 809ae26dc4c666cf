// Activation: what a linear layer does to its sums. An enumeration alone, so that files of any
// instruction set may include it.
#pragma once

namespace octet {

// kSiluGate: silu(gate) * up, of the first and the second half of the weight's rows.
enum class Activation { kNone, kRelu, kGelu, kGeluTanh, kSiluGate };

}  // namespace octet
