#include "runtime/weights/int8_weights.h"

#include <fmt/format.h>

#include <cmath>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr std::string_view kWeight = ".weight", kScb = ".SCB", kFormat = ".weight_format",
                           kScale = ".weight_scale";
constexpr float kScbUnit = 127;  // SCB is the row's largest magnitude
constexpr const char* kFormats[] = {"row", "col32", "col_turing", "col_ampere"};

std::string stem_of(const TensorEntry& weight) {
  return weight.name.substr(0, weight.name.size() - kWeight.size());
}

const TensorPlace* find(const TensorFolder& files, const std::string& name) {
  const auto found = files.tensors().find(name);
  return found == files.tensors().end() ? nullptr : &found->second;
}

std::string shown(const TensorEntry& entry) {
  return fmt::format("{} {}", dtype_name(entry.dtype), entry.shape.to_string());
}

float element(std::span<const std::byte> bytes, DType dtype, size_t i) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, bytes.data() + i * sizeof(bits), sizeof(bits));
  return dtype == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

}  // namespace

Int8Weights::Int8Weights(const TensorFolder& files, QuantMethod method, std::string folder)
    : method_(method), folder_(std::move(folder)) {
  for (const auto& [name, place] : files.tensors()) {
    if (place.entry->dtype == DType::kI8) add_weight(files, *place.entry);
  }
  for (const auto& [name, place] : files.tensors()) check_orphan(name);
}

void Int8Weights::fail(std::string_view tensor, const std::string& what) const {
  throw InputError(fmt::format("{}: tensor {}: {}", folder_, printable(tensor), what));
}

void Int8Weights::add_weight(const TensorFolder& files, const TensorEntry& weight) {
  if (weight.name.ends_with("_zero_point")) fail(weight.name, "zero points are not supported");
  if (method_ == QuantMethod::kNone) {
    fail(weight.name,
         "int8, but there is no octet.json beside it and no quantization_config in config.json: an "
         "artefact without its manifest");
  }
  if (!weight.name.ends_with(kWeight) || weight.shape.rank() != 2 || weight.shape.numel() == 0) {
    fail(weight.name, fmt::format("{} is not a matrix of weights", shown(weight)));
  }
  if (method_ == QuantMethod::kBitsandbytes) {
    add_bitsandbytes(files, weight);
  } else {
    add_compressed(files, weight);
  }
}

void Int8Weights::add_bitsandbytes(const TensorFolder& files, const TensorEntry& weight) {
  const std::string stem = stem_of(weight), scale = stem + std::string(kScale);
  const TensorPlace* scb = find(files, stem + std::string(kScb));
  if (scb == nullptr) fail(weight.name, fmt::format("int8 without {}", printable(stem + ".SCB")));
  if (scb->entry->dtype != DType::kF32 || scb->entry->shape != Shape{weight.shape[0]}) {
    fail(scb->entry->name, fmt::format("{} is not F32 [{}]", shown(*scb->entry), weight.shape[0]));
  }
  if (find(files, scale) != nullptr) fail(scale, "a second scale, beside SCB");
  absorbed_.insert(scb->entry->name);
  if (const TensorPlace* format = find(files, stem + std::string(kFormat))) {
    check_row_format(*format);
    absorbed_.insert(format->entry->name);
  }
  scales_[scale] = {.stored = *scb, .rows = weight.shape[0], .divisor = kScbUnit};
}

void Int8Weights::check_row_format(const TensorPlace& format) const {
  const TensorEntry& entry = *format.entry;
  if (entry.dtype != DType::kU8 || entry.shape.numel() != 1) {
    fail(entry.name, fmt::format("{} is not one U8", shown(entry)));
  }
  std::byte value{};
  format.file->file().read(entry.offset, {&value, 1});
  const auto number = std::to_integer<size_t>(value);
  if (number == 0) return;
  fail(entry.name, fmt::format("{} ({}) is not a layout that is read, only row (0)", number,
                               number < std::size(kFormats) ? kFormats[number] : "unknown"));
}

void Int8Weights::add_compressed(const TensorFolder& files, const TensorEntry& weight) {
  const std::string name = stem_of(weight) + std::string(kScale);
  const TensorPlace* scale = find(files, name);
  if (scale == nullptr) fail(weight.name, fmt::format("int8 without {}", printable(name)));
  const TensorEntry& entry = *scale->entry;
  const bool floats =
      entry.dtype == DType::kF32 || entry.dtype == DType::kF16 || entry.dtype == DType::kBF16;
  const int64_t rows = weight.shape[0];
  const bool per_row = entry.shape == Shape{rows} || entry.shape == Shape{rows, 1};
  const bool one = entry.shape.numel() == 1 && entry.shape.rank() <= 1;
  if (!floats || (!per_row && !one)) {
    fail(name, fmt::format("{} is not a float for each of {} rows or for all", shown(entry), rows));
  }
  absorbed_.insert(name);
  scales_[name] = {.stored = *scale, .rows = rows};
}

// What would be left over without having had a say in the numbers.
void Int8Weights::check_orphan(const std::string& name) const {
  for (std::string_view end : {kScb, kFormat, kScale}) {
    if (name.ends_with(end) && !absorbs(name)) fail(name, "belongs to no int8 weight");
  }
  if (method_ != QuantMethod::kCompressedTensors) return;
  for (std::string_view end : {"_zero_point", "_g_idx", "weight_packed", "input_scale",
                               "output_scale", ".k_scale", ".v_scale", ".q_scale"}) {
    if (name.ends_with(end)) fail(name, "is not supported");
  }
}

void Int8Weights::read_scale(const Scale& scale, int64_t begin, int64_t end, const Tensor& out,
                             std::atomic<uint64_t>& bytes_read) const {
  const TensorEntry& entry = *scale.stored.entry;
  const bool one = entry.shape.numel() == 1;
  const auto first = static_cast<uint64_t>(one ? 0 : begin);
  const auto count = static_cast<uint64_t>(one && begin < end ? 1 : end - begin);
  const size_t size = dtype_size(entry.dtype);
  std::vector<std::byte> bytes(count * size);
  scale.stored.file->file().read(entry.offset + first * size, bytes);
  bytes_read += bytes.size();
  for (int64_t i = begin; i < end; ++i) {
    const auto at = static_cast<size_t>(i - begin);
    const float value = element(bytes, entry.dtype, one ? 0 : at);
    if (!std::isfinite(value) || value < 0) {
      fail(entry.name, fmt::format("element [{}] is {}, not a scale", one ? 0 : i, value));
    }
    out.span<float>()[at] = value / scale.divisor;
  }
}

}  // namespace octet
