// octet serve over gRPC.
#pragma once

#include <memory>
#include <string>

#include "runtime/bench/target.h"

namespace octet {

struct OctetOptions {
  std::string address;  // HOST:PORT
  std::string model;    // "": the server's only one
  bool ignore_eos = true;
};

// Throws InputError: kUnreachable where nothing answers, kUnavailable where no group is ready, a
// model that is not served.
std::unique_ptr<Target> make_octet_target(const OctetOptions& options);

}  // namespace octet
