// The model families: one row each. Any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/weights/model_args.h"
#include "runtime/weights/partition.h"

namespace octet {

class CausalLM;
struct ModelContext;

struct Family {
  std::string_view model_type;  // config.json's
  std::span<const TensorRule> rules;
  std::unique_ptr<CausalLM> (*make)(const ModelContext& context);
};

// Throws InputError naming the model_type and those known.
const Family& find_family(const std::string& model_type);
std::vector<std::string_view> known_families();

}  // namespace octet
