// The tensors of an artefact as other programs would have stored them, and those programs' configs.
#pragma once

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/weights/stored_tensors.h"

namespace octet {

inline nlohmann::json bitsandbytes_config() {
  return {{"quant_method", "bitsandbytes"},
          {"load_in_8bit", true},
          {"load_in_4bit", false},
          {"llm_int8_threshold", 6.0}};
}

inline nlohmann::json compressed_config() {
  const nlohmann::json int8 = {{"num_bits", 8}, {"type", "int"}, {"symmetric", true}};
  nlohmann::json weights = int8, activations = int8;
  weights.update({{"strategy", "channel"}, {"dynamic", false}, {"group_size", nullptr}});
  activations.update({{"strategy", "token"}, {"dynamic", true}});
  const nlohmann::json group = {{"targets", {"Linear"}},
                                {"weights", weights},
                                {"input_activations", activations},
                                {"output_activations", nullptr}};
  return {{"quant_method", "compressed-tensors"},
          {"format", "int-quantized"},
          {"quantization_status", "compressed"},
          {"config_groups", {{"group_0", group}}},
          {"ignore", {"lm_head"}},
          {"kv_cache_scheme", nullptr}};
}

inline float rounded(float value, DType dtype) {
  if (dtype == DType::kF16) return f16_to_f32(f32_to_f16(value));
  return dtype == DType::kBF16 ? bf16_to_f32(f32_to_bf16(value)) : value;
}

// Changes every scale, a value at a time.
template <typename Change>
StoredTensors with_scales(StoredTensors tensors, const Change& change) {
  for (StoredTensor& tensor : tensors) {
    if (!tensor.name.ends_with(".weight_scale")) continue;
    std::vector<float> scales(tensor.bytes.size() / sizeof(float));
    std::memcpy(scales.data(), tensor.bytes.data(), tensor.bytes.size());
    tensor.bytes.clear();
    for (float scale : scales) change(scale, tensor);
  }
  return tensors;
}

inline StoredTensors as_bitsandbytes(const StoredTensors& artefact) {
  StoredTensors tensors =
      with_scales(artefact, [](float scale, StoredTensor& to) { put(to.bytes, scale * 127); });
  StoredTensors formats;
  for (StoredTensor& tensor : tensors) {
    if (!tensor.name.ends_with(".weight_scale")) continue;
    const std::string stem = tensor.name.substr(0, tensor.name.rfind('.'));
    formats.push_back({stem + ".weight_format", DType::kU8, Shape{}, std::string(1, '\0')});
    tensor.name = stem + ".SCB";
  }
  tensors.insert(tensors.end(), formats.begin(), formats.end());
  return tensors;
}

// Scales of this type, as [out] or as [out, 1].
inline StoredTensors as_compressed(const StoredTensors& artefact, DType dtype, bool column) {
  return with_scales(artefact, [&](float scale, StoredTensor& to) {
    if (to.bytes.empty() && column) to.shape = Shape{to.shape[0], 1};
    to.dtype = dtype;
    if (dtype == DType::kF32) {
      put(to.bytes, scale);
    } else {
      put(to.bytes, dtype == DType::kF16 ? f32_to_f16(scale) : f32_to_bf16(scale));
    }
  });
}

}  // namespace octet
