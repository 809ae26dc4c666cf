// The third kind of failure (docs/architecture.md, contract 2): something from outside is wrong.
// Nothing is lost and no process dies; the message is one line that names the file, tensor or field
// and the values.
#pragma once

#include <stdexcept>
#include <string>

namespace octet {

enum class ErrorCode {
  kInvalidArgument,
  kNotFound,
  kResourceExhausted,
  kUnavailable,  // a worker group was lost or is not there
  kUnreachable,  // nothing answers at an address, or it cannot be listened on
  kDeadlineExceeded,
  kCancelled,
};

// A file, flag, message or request that is not what it should be. what() is one line, printable as
// it is.
class InputError : public std::runtime_error {
 public:
  explicit InputError(const std::string& line, ErrorCode code = ErrorCode::kInvalidArgument)
      : std::runtime_error(line), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace octet
