#include "kernels/check.h"

#include <cstdlib>

#include "kernels/say.h"

namespace octet {

void check_failed(const char* file, int line, const char* condition, const std::string& values) {
  say("{}:{}: bug: {} does not hold: {}\n", file, line, condition, values);
  std::abort();
}

}  // namespace octet
