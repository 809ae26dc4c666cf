// Logits straight from one rank's worker, no engine in between.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "runtime/engine/plan.h"
#include "runtime/engine/worker.h"

namespace octet::testing {

class LastLogits {
 public:
  static constexpr int kMaxTokens = 256;

  // An unquantised model, in fp32 with an fp32 cache.
  explicit LastLogits(const std::filesystem::path& model);

  // [vocab_size] at the last of these tokens, at most kMaxTokens and the model's positions.
  std::vector<float> of(const std::vector<int32_t>& ids);

 private:
  Plan plan_;
  std::unique_ptr<Communicator> communicator_;
  Worker worker_;
};

}  // namespace octet::testing
