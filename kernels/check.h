// OCTET_CHECK: an invariant of the program itself. A failure is a bug (the first of the three kinds
// of failure in docs/architecture.md): it prints the place, the condition and the values, and the
// process dies.
//
//   OCTET_CHECK(rows <= capacity, "rows {} capacity {}", rows, capacity);
//
// Never for input from outside: that throws InputError (runtime/request/error.h). Any thread.
#pragma once

#include <fmt/format.h>

#include <string>

namespace octet {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& values);

}  // namespace octet

#define OCTET_CHECK(condition, ...) \
  (static_cast<bool>(condition)     \
       ? void(0)                    \
       : ::octet::check_failed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)))
