#include "runtime/weights/quantization_config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/formats/printable.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

using nlohmann::json;

void check_bitsandbytes(const ConfigFields& fields) {
  fields.require("load_in_4bit", false);
  if (!fields.boolean_or("load_in_8bit", false)) fields.fail("load_in_8bit", "is not true");
}

// Throws unless the field is there with one of these values.
void require_present(const ConfigFields& fields, const char* key,
                     std::initializer_list<json> values) {
  const json* value = fields.find(key);
  if (value == nullptr) fields.fail(key, "is missing");
  for (const json& allowed : values) {
    if (*value == allowed) return;
  }
  fields.fail(key, fmt::format("is {}, which is not supported", printable(value->dump())));
}

void require_int8(const ConfigFields& fields) {
  require_present(fields, "num_bits", {8});
  require_present(fields, "type", {"int"});
  require_present(fields, "symmetric", {true});
}

void check_weights(const ConfigFields& fields) {
  require_int8(fields);
  require_present(fields, "strategy", {"channel", "tensor"});
  fields.require("dynamic", false);
  for (const char* key : {"group_size", "block_structure"}) {
    if (fields.find(key) != nullptr) fields.fail(key, "is not supported");
  }
  // An order of the calibration that leaves none in the file.
  if (fields.find("actorder") != nullptr) {
    require_present(fields, "actorder", {false, "weight", "static"});
  }
}

// Octet scales activations itself, a row at a time; scales from a calibration are not used.
void check_activations(const ConfigFields& fields) {
  require_int8(fields);
  require_present(fields, "dynamic", {true});
  require_present(fields, "strategy", {"token"});
}

void check_group(const json& group, const std::string& source) {
  const ConfigFields fields(group, source);
  if (fields.find("weights") == nullptr) fields.fail("weights", "is missing");
  check_weights({*fields.find("weights"), source + ": weights"});
  if (const json* activations = fields.find("input_activations")) {
    check_activations({*activations, source + ": input_activations"});
  }
  if (fields.find("output_activations") != nullptr) {
    fields.fail("output_activations", "are not supported");
  }
  if (fields.find("format") != nullptr) {
    require_present(fields, "format", {"int-quantized", "naive-quantized"});
  }
}

void check_compressed_tensors(const ConfigFields& fields, const std::string& source) {
  require_present(fields, "format", {"int-quantized", "naive-quantized"});
  fields.require("quantization_status", "compressed");
  for (const char* key : {"kv_cache_scheme", "transform_config"}) {
    const json* value = fields.find(key);
    if (value != nullptr && !value->empty()) fields.fail(key, "is not supported");
  }
  if (const json* sparsity = fields.find("sparsity_config"); sparsity && !sparsity->empty()) {
    require_present({*sparsity, source + ": sparsity_config"}, "format", {"dense"});
  }
  const json* groups = fields.find("config_groups");
  if (groups == nullptr || !groups->is_object() || groups->empty()) {
    fields.fail("config_groups", "is not an object of groups");
  }
  for (const auto& [name, group] : groups->items()) {
    check_group(group, fmt::format("{}: config_groups: {}", source, printable(name)));
  }
}

}  // namespace

QuantMethod parse_quantization_config(const json& config, const std::string& source) {
  const json* quantization = ConfigFields(config, source).find("quantization_config");
  if (quantization == nullptr) return QuantMethod::kNone;
  const std::string place = source + ": quantization_config";
  const ConfigFields fields(*quantization, place);
  const bool older = fields.find("load_in_8bit") != nullptr;  // before quant_method was written
  const std::string method = fields.string_or("quant_method", older ? "bitsandbytes" : "");
  if (method == "bitsandbytes") {
    check_bitsandbytes(fields);
    return QuantMethod::kBitsandbytes;
  }
  if (method == "compressed-tensors") {
    check_compressed_tensors(fields, place);
    return QuantMethod::kCompressedTensors;
  }
  fields.fail("quant_method", fmt::format("is {}; int8 of bitsandbytes or compressed-tensors is "
                                          "what can be read",
                                          printable(method)));
}

}  // namespace octet
