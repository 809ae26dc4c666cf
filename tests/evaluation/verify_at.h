// octet verify's comparison with its ranks as threads.
#pragma once

#include <filesystem>

#include "runtime/evaluation/verify.h"

namespace octet::testing {

VerifyReport verify_at(const std::filesystem::path& tested, const std::filesystem::path& reference,
                       const std::vector<std::vector<int32_t>>& prompts, int ranks);

}  // namespace octet::testing
