// Models whose weights are a formula of a seed, so that a test's files hold numbers to expect and
// no weights; tests/oracle/weights.py computes the same ones.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace octet::testing {

// Element i of tensor NAME: offset + scale * (2u - 1), u the top 24 bits of
// splitmix64(fnv1a64(NAME) ^ seed * 0xD1B54A32D192ED03, i) as a fraction.
std::vector<float> formula_values(const std::string& name, uint64_t seed, size_t count,
                                  double scale, double offset);

// Writes config.json and model.safetensors (fp32) from {"config", "seed", "tensors": {name:
// {"shape", "scale", "offset"}}} into `folder`, made when absent; returns it.
//
// change: sees every tensor's values before they are written.
using ChangeTensor = std::function<void(const std::string& name, std::vector<float>& values)>;
std::filesystem::path write_formula_model(const std::filesystem::path& folder,
                                          const nlohmann::json& model,
                                          const ChangeTensor& change = {});

// The names of the models, NAME.json, in a folder; ascending.
std::vector<std::string> model_names(const std::filesystem::path& folder);

}  // namespace octet::testing
