#include "launcher/exit_codes.h"

namespace octet {

ExitCode exit_code_of(const InputError& error) {
  switch (error.code()) {
    case ErrorCode::kUnreachable:
      return kExitUnreachable;
    case ErrorCode::kUnavailable:
      return kExitGroupLost;
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kDeadlineExceeded:
      return kExitNotNow;
    case ErrorCode::kCancelled:
      return kExitInterrupted;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
      return kExitUsage;
  }
  return kExitBug;
}

}  // namespace octet
