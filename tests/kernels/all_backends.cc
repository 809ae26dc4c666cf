// The contract suite runs on every back end of this build; those that this machine lacks are
// skipped.
#include "tests/kernels/backend_fixture.h"

namespace octet::testing {

std::vector<BackendCase> backend_cases() {
  std::vector<BackendCase> cases{{"reference", "auto", 1}};
  for (const char* isa : {"avx2", "avx512-vnni", "amx-int8"}) {
    for (const int threads : {1, 3}) cases.push_back({"cpu", isa, threads});
  }
  cases.push_back({"cuda", "auto", 1});
  return cases;
}

}  // namespace octet::testing
