#include "tests/testing/formula_model.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/formats/safetensors_writer.h"

namespace octet::testing {
namespace {

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace

std::vector<float> formula_values(const std::string& name, uint64_t seed, size_t count,
                                  double scale, double offset) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3u;
  hash ^= seed * 0xD1B54A32D192ED03u;
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    const double u =
        static_cast<double>(mix(hash + (i + 1) * 0x9E3779B97F4A7C15u) >> 40) / 16777216.0;
    values[i] = static_cast<float>(offset + scale * (2 * u - 1));
  }
  return values;
}

std::filesystem::path write_formula_model(const std::filesystem::path& folder,
                                          const nlohmann::json& model, const ChangeTensor& change) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << model["config"].dump(2);
  std::vector<SafetensorsSpec> specs;
  for (const auto& [name, tensor] : model["tensors"].items()) {
    const auto extents = tensor["shape"].get<std::vector<int64_t>>();
    specs.push_back({name, DType::kF32, Shape(extents)});
  }
  SafetensorsWriter writer(folder / "model.safetensors", specs);
  for (const SafetensorsSpec& spec : specs) {
    const auto& tensor = model["tensors"][spec.name];
    std::vector<float> values =
        formula_values(spec.name, model["seed"], static_cast<size_t>(spec.shape.numel()),
                       tensor["scale"], tensor["offset"]);
    if (change) change(spec.name, values);
    writer.write(spec.name, 0, std::as_bytes(std::span(values)));
  }
  return folder;
}

std::vector<std::string> model_names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() == ".json") names.push_back(file.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace octet::testing
