// Formula models as GGUF files, by the rules of llama.cpp's converter: its names of keys and
// tensors, its order of rows.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace octet::testing {

// The converter's architecture for a config.json; "": it has none.
std::string gguf_architecture(const nlohmann::json& config);

// The bytes of the file (fp32) of a model as write_formula_model() takes it.
std::string gguf_model(const nlohmann::json& model);

// Writes them to `path`; returns it.
std::filesystem::path write_gguf_model(const std::filesystem::path& path,
                                       const nlohmann::json& model);

}  // namespace octet::testing
