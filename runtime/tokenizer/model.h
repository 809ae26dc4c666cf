// Model: the stage of a tokenizer that turns words into ids. Immutable; any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace octet {

class Model {
 public:
  virtual ~Model() = default;
  virtual void encode(std::string_view word, std::vector<int32_t>& ids) const = 0;  // appends
};

}  // namespace octet
