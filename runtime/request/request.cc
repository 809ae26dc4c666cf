#include "runtime/request/request.h"

#include <fmt/format.h>

#include <cmath>

#include "runtime/request/error.h"

namespace octet {

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      return "error";
  }
  return "";
}

void validate(const SamplingParams& sampling) {
  const int least = sampling.prompt_logprobs ? 0 : 1;
  if (sampling.max_tokens < least) {
    throw InputError(
        fmt::format("max_tokens is {}, must be at least {}", sampling.max_tokens, least));
  }
  if (!std::isfinite(sampling.temperature) || sampling.temperature < 0) {
    throw InputError(
        fmt::format("temperature is {}, must be finite and 0 or more", sampling.temperature));
  }
  if (sampling.top_k < 0)
    throw InputError(fmt::format("top_k is {}, must be 0 or more", sampling.top_k));
  if (!(sampling.top_p > 0.0f && sampling.top_p <= 1.0f)) {
    throw InputError(fmt::format("top_p is {}, must be above 0 and at most 1", sampling.top_p));
  }
}

}  // namespace octet
