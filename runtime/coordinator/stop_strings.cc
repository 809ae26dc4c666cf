#include "runtime/coordinator/stop_strings.h"

#include <algorithm>
#include <utility>

#include "kernels/check.h"

namespace octet {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (size_t i = 0; i < stops_.size(); ++i) {
    OCTET_CHECK(!stops_[i].empty(), "stop string {} is empty", i);
  }
}

std::string StopStrings::push(std::string_view text) {
  if (found_) return "";
  held_.append(text);
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) end = std::min(end, held_.find(stop));
  found_ = end != std::string::npos;
  if (!found_) end = possible_stop();
  std::string out = held_.substr(0, end);
  held_.erase(0, end);
  return out;
}

std::string StopStrings::finish() { return found_ ? "" : std::exchange(held_, {}); }

size_t StopStrings::possible_stop() const {
  size_t start = held_.size();
  for (const std::string& stop : stops_) {
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > 0; --length) {
      if (held_.ends_with(std::string_view(stop).substr(0, length))) {
        start = std::min(start, held_.size() - length);
        break;
      }
    }
  }
  return start;
}

}  // namespace octet
