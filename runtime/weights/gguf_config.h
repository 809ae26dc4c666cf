// config.json, made of a GGUF file's metadata.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>

#include "runtime/formats/gguf_file.h"

namespace octet {

// Throws InputError naming the file and the key: an architecture that is not known, a key that is
// missing or absurd, or one that would give other numbers than those computed here.
nlohmann::json gguf_config(const GgufFile& file);

// The factors by which rope_freqs.weight divides the frequencies, as rope_scaling; null where all
// are 1. The converter keeps no more of Llama 3's stretching. Throws InputError naming the file:
// factors that are not of that kind.
nlohmann::json rope_scaling_of(std::span<const float> factors, double rope_theta,
                               const GgufFile& file);

}  // namespace octet
