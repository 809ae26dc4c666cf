// From a client's message to a request that can run: every field checked, every default filled in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "octet/v1/inference.pb.h"
#include "runtime/coordinator/served_model.h"
#include "runtime/engine/engine.h"
#include "runtime/request/request.h"

namespace octet {

inline constexpr int kMaxStops = 64;  // stop strings, and stop token ids, of one request
inline constexpr size_t kMaxStopBytes = 1024;

struct CheckedRequest {
  Request request;  // id 0
  std::vector<std::string> stops;
};

// What a group of this size can run. Throws InputError (kInvalidArgument) naming the field and the
// values.
CheckedRequest check_request(const v1::GenerateRequest& message, const ServedModel& model,
                             const GroupInfo& group);

// The prompt's or the chat's ids. Throws InputError naming the field.
std::vector<int32_t> check_input(const v1::TokenizeRequest& message, const ServedModel& model);

}  // namespace octet
