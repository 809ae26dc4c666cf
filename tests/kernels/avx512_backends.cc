// The contract suite runs on the CPU's AVX512 and AMX kernels, whose instructions are emulated: on
// any machine.
#include "tests/kernels/backend_fixture.h"

namespace octet::testing {

// With one number of threads: that others change nothing, AVX2's cases show.
std::vector<BackendCase> backend_cases() {
  return {{"cpu", "avx512-vnni", 3}, {"cpu", "amx-int8", 3}};
}

}  // namespace octet::testing
