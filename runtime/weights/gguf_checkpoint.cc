#include "runtime/weights/gguf_checkpoint.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstring>

#include "kernels/check.h"
#include "runtime/formats/ggml_dequantize.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/gguf_config.h"
#include "runtime/weights/slice_io.h"

namespace octet {
namespace {

DType delivered_dtype(GgmlType type) {
  if (type == GgmlType::kF16) return DType::kF16;
  if (type == GgmlType::kBF16) return DType::kBF16;
  return DType::kF32;
}

constexpr std::string_view kRopeFactors = "rope_freqs.weight";
constexpr int64_t kMaxRopeFactors = 1 << 16;

// What older files repeat of the metadata.
bool is_derived(std::string_view name) { return name.ends_with(".attn_rot_embd.weight"); }

}  // namespace

GgufCheckpoint::GgufCheckpoint(const std::filesystem::path& path)
    : header_(path), file_(path), config_(gguf_config(header_)) {
  for (const GgufTensor& tensor : header_.tensors()) {
    if (tensor.name == kRopeFactors) {
      read_rope_factors(tensor);
    } else if (is_derived(tensor.name)) {
      spdlog::warn("{}: tensor {} is ignored", path.string(), printable(tensor.name));
    } else {
      add(tensor);
    }
  }
  for (const auto& [name, source] : sources_) {
    tensors_.push_back({.name = name,
                        .dtype = delivered_dtype(source.type->type),
                        .shape = source.shape,
                        .stored_as = std::string(source.type->name),
                        .stored_bytes = source.tensor->bytes});
  }
}

void GgufCheckpoint::fail(const GgufTensor& tensor, const std::string& what) const {
  throw InputError(fmt::format("{}: tensor {}: {}", path().string(), printable(tensor.name), what));
}

void GgufCheckpoint::add(const GgufTensor& tensor) {
  const Source source{
      .tensor = &tensor, .type = find_ggml_type(tensor.type), .shape = Shape(tensor.shape)};
  OCTET_CHECK(source.type != nullptr, "type {}", tensor.type);
  if (tensor.shape.size() > 2) fail(tensor, fmt::format("{} dimensions", tensor.shape.size()));
  if (!sources_.emplace(tensor.name, source).second) fail(tensor, "appears twice");
}

void GgufCheckpoint::read_rope_factors(const GgufTensor& tensor) {
  const bool is_vector = tensor.type == static_cast<uint32_t>(GgmlType::kF32) &&
                         tensor.shape.size() == 1 && tensor.shape[0] <= kMaxRopeFactors;
  if (!is_vector) fail(tensor, "is not an F32 vector of factors");
  std::vector<float> factors(static_cast<size_t>(tensor.shape[0]));
  file_.read(tensor.offset, std::as_writable_bytes(std::span(factors)));
  const nlohmann::json scaling =
      rope_scaling_of(factors, config_.value("rope_theta", 10000.0), header_);
  if (scaling.is_null()) return;
  if (config_.contains("rope_scaling")) fail(tensor, "and another scaling, in the metadata");
  config_["rope_scaling"] = scaling;
}

void GgufCheckpoint::read(std::string_view name, const TensorSlice& slice,
                          const Tensor& out) const {
  const auto found = sources_.find(name);
  OCTET_CHECK(found != sources_.end(), "{} has no {}", path().string(), name);
  const Source& source = found->second;
  const DType dtype = delivered_dtype(source.type->type);
  check_slice(found->first, dtype, source.shape, slice, out);

  // A vector is one row; a slice of a row is cut from the blocks that hold it.
  const bool matrix = source.shape.rank() == 2;
  const int64_t columns = source.shape[matrix ? 1 : 0];
  const bool cut_columns = slice.axis == 1 || !matrix;
  const int64_t first_row = cut_columns ? 0 : slice.begin;
  const int64_t rows = !matrix ? 1 : cut_columns ? source.shape[0] : slice.end - slice.begin;
  const int64_t begin = cut_columns ? slice.begin : 0;
  const int64_t count = cut_columns ? slice.end - slice.begin : columns;
  if (rows == 0 || count == 0) return;

  const int64_t per_block = source.type->block_elements, block_bytes = source.type->block_bytes;
  const int64_t first_block = begin / per_block;
  const int64_t blocks = (begin + count + per_block - 1) / per_block - first_block;
  std::vector<std::byte> raw(static_cast<size_t>(blocks * block_bytes));
  std::vector<float> values(static_cast<size_t>(blocks * per_block));
  const size_t element = dtype_size(dtype);
  const auto skip = static_cast<size_t>(begin - first_block * per_block);
  const size_t row_bytes = static_cast<size_t>(count) * element;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t place = (first_row + i) * (columns / per_block) + first_block;
    file_.read(source.tensor->offset + static_cast<uint64_t>(place * block_bytes), raw);
    std::byte* to = out.raw_data() + static_cast<size_t>(i) * row_bytes;
    if (per_block == 1) {
      std::memcpy(to, raw.data(), row_bytes);
    } else {
      ggml_dequantize(*source.type, raw, values);
      std::memcpy(to, values.data() + skip, row_bytes);
    }
  }
  bytes_read_ += static_cast<uint64_t>(rows) * raw.size();
}

void GgufCheckpoint::copy_companions(const std::filesystem::path& folder) const {
  write_text_file(folder / "config.json", config_.dump(2) + "\n");
  std::map<std::string, GgufValue, std::less<>> vocabulary;
  for (const auto& [key, value] : header_.metadata()) {
    if (key.starts_with("tokenizer.") || key == "general.architecture") vocabulary[key] = value;
  }
  write_gguf_metadata(folder / "tokenizer.gguf", vocabulary);
}

}  // namespace octet
