// The contract suite runs on the CPU's AMX kernels, whose instructions are emulated: they are there
// wherever AVX512 is.
#include "kernels/check.h"
#include "tests/kernels/backend_fixture.h"

namespace octet::testing {

std::vector<BackendCase> backend_cases() {
  const std::vector<std::string> isas = available_isas();
  const auto has = [&](const char* isa) { return std::ranges::find(isas, isa) != isas.end(); };
  OCTET_CHECK(has("amx-int8") || !has("avx512-vnni"), "{} instruction sets, no emulated AMX",
              isas.size());
  return {{"cpu", "amx-int8", 1}, {"cpu", "amx-int8", 3}};
}

}  // namespace octet::testing
