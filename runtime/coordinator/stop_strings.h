// StopStrings: finds the first of several stop strings in a text that arrives in pieces, and holds
// back what may yet become one. One stream, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace octet {

class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> stops);  // REQUIRES: none is empty

  // Text that is certain to stand before any stop string. Once a stop string was found: the text
  // before it, then "".
  std::string push(std::string_view text);
  std::string finish();  // what was held back; "" when a stop string was found

  bool found() const { return found_; }

 private:
  size_t possible_stop()
      const;  // where the longest suffix of held_ starts that begins a stop string

  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace octet
