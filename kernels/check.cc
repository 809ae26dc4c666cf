#include "kernels/check.h"

#include <cstdio>
#include <cstdlib>

namespace octet {

void check_failed(const char* file, int line, const char* condition, const std::string& values) {
  fmt::print(stderr, "{}:{}: bug: {} does not hold: {}\n", file, line, condition, values);
  std::fflush(stderr);
  std::abort();
}

}  // namespace octet
