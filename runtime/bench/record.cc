#include "runtime/bench/record.h"

namespace octet {

double Record::latency(Latency latency) const {
  switch (latency) {
    case Latency::kTtft:
      return arrivals.front() - due;
    case Latency::kTpot:
      return output_tokens > 1 ? (arrivals.back() - arrivals.front()) / (output_tokens - 1) : 0;
    default:
      return end - due;
  }
}

}  // namespace octet
