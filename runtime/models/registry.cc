#include "runtime/models/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

const std::array kFamilies = {
    bloom_family(), falcon_family(),  gpt2_family(),     gpt_neox_family(), gptj_family(),
    llama_family(), mistral_family(), opt_family(),      palm_family(),     phi_family(),
    qwen2_family(), qwen3_family(),   stablelm_family(),
};

}  // namespace

const Family& find_family(const std::string& model_type, const std::string& source) {
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return family;
  }
  throw InputError(fmt::format("{}: model_type {} is not a known family; known: {}", source,
                               printable(model_type), fmt::join(known_families(), ", ")));
}

std::vector<std::string_view> known_families() {
  std::vector<std::string_view> names;
  for (const Family& family : kFamilies) names.push_back(family.model_type);
  return names;
}

}  // namespace octet
