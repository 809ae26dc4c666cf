// config.json's quantization_config: by which program's rules a folder's weights are int8.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace octet {

enum class QuantMethod {
  kNone,               // no quantization_config
  kBitsandbytes,       // LLM.int8(): a scale per output channel
  kCompressedTensors,  // W8A8: symmetric, a scale per output channel or one for the weight
};

// Throws InputError naming `source` and the field: any other method, width, strategy or
// calibration. What would change the numbers is refused, never ignored.
QuantMethod parse_quantization_config(const nlohmann::json& config, const std::string& source);

}  // namespace octet
