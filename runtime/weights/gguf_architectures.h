// The architectures of GGUF files, as data: what their metadata and tensors are called, and which
// family of config.json they are. Names and row orders are those of llama.cpp's converter.
#pragma once

#include <string_view>
#include <vector>

#include "runtime/weights/model_args.h"
#include "runtime/weights/module_names.h"

namespace octet {

// Which part of a head rotates.
enum class GgufRotation {
  kNone,
  kWhole,  // all of it; the file may say so
  kShare,  // as much as the file says; config.json's rotary_pct
};

struct GgufArchitecture {
  std::string_view name;                 // general.architecture
  std::string_view model_type;           // config.json's
  std::string_view windowed_model_type;  // where the file has a sliding window; "": refused
  std::string_view constants;  // config.json's fields that the metadata leave out, as JSON
  std::string_view norm_eps = "attention.layer_norm_epsilon";
  GgufRotation rotation = GgufRotation::kWhole;
  const char* num_key_value_heads = "num_key_value_heads";  // config.json's name
  ConfigKeys keys;                                          // config.json's names of the others

  // All tensors of such a file, as RenamedCheckpoint wants them.
  std::vector<ModuleName> (*modules)(const ModelArgs& args);
};

// nullptr: not an architecture that is read.
const GgufArchitecture* find_gguf_architecture(std::string_view name);
std::vector<std::string_view> known_gguf_architectures();

// The tensors of a GGUF file of the model. REQUIRES: args are of a GGUF file's config.
std::vector<ModuleName> gguf_modules(const ModelArgs& args);

}  // namespace octet
