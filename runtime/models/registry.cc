#include "runtime/models/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "runtime/models/causal_lm.h"
#include "runtime/models/llama.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

const std::array kFamilies = {
    Family{"llama", llama_rules(), make_llama},
};

}  // namespace

const Family& find_family(const std::string& model_type) {
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return family;
  }
  throw InputError(fmt::format("model_type \"{}\" is not a known family; known: {}", model_type,
                               fmt::join(known_families(), ", ")));
}

std::vector<std::string_view> known_families() {
  std::vector<std::string_view> names;
  for (const Family& family : kFamilies) names.push_back(family.model_type);
  return names;
}

}  // namespace octet
