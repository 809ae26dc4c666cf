#include "runtime/weights/gguf_checkpoint.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>

#include "kernels/check.h"
#include "runtime/formats/ggml_dequantize.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/slice_io.h"

namespace octet {
namespace {

DType delivered_dtype(GgmlType type) {
  if (type == GgmlType::kF16) return DType::kF16;
  if (type == GgmlType::kBF16) return DType::kBF16;
  return DType::kF32;
}

}  // namespace

GgufCheckpoint::GgufCheckpoint(const std::filesystem::path& path)
    : header_(path), file_(path), config_(gguf_config(header_)), heads_(gguf_heads(header_)) {
  const int64_t rotary = header_.get_or<int64_t>("llama.rope.dimension_count", heads_.head_dim);
  if (rotary != heads_.head_dim) {
    throw InputError(fmt::format("{}: key 'llama.rope.dimension_count' is {}, not the head_dim {}",
                                 path.string(), rotary, heads_.head_dim));
  }
  for (const GgufTensor& tensor : header_.tensors()) {
    if (gguf_is_ignored(tensor.name)) {
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

void GgufCheckpoint::add(const GgufTensor& tensor) {
  const auto fail = [&](const std::string& what) {
    throw InputError(
        fmt::format("{}: tensor {}: {}", path().string(), printable(tensor.name), what));
  };
  const auto name = gguf_to_hf_name(tensor.name);
  if (!name) fail("not a tensor of the llama architecture");
  Source source{
      .tensor = &tensor, .type = find_ggml_type(tensor.type), .shape = Shape(tensor.shape)};
  OCTET_CHECK(source.type != nullptr, "type {}", tensor.type);
  if (tensor.shape.size() > 2) fail(fmt::format("{} dimensions", tensor.shape.size()));
  if (const int64_t heads = gguf_permuted_heads(*name, heads_)) {
    if (tensor.shape[0] != heads * heads_.head_dim || heads_.head_dim < 2 ||
        heads_.head_dim % 2 != 0) {
      fail(fmt::format("{} rows are not {} heads of an even head_dim {}", tensor.shape[0], heads,
                       heads_.head_dim));
    }
    if (tensor.shape.size() == 1 && source.type->block_elements != 1) {
      fail(fmt::format("a vector of heads in {} blocks", source.type->name));
    }
    source.head_dim = heads_.head_dim;
  }
  if (!sources_.emplace(*name, source).second) fail("appears twice, as " + *name);
}

void GgufCheckpoint::read(std::string_view name, const TensorSlice& slice,
                          const Tensor& out) const {
  const auto found = sources_.find(name);
  OCTET_CHECK(found != sources_.end(), "{} has no {}", path().string(), name);
  const Source& source = found->second;
  const DType dtype = delivered_dtype(source.type->type);
  check_slice(found->first, dtype, source.shape, slice, out);

  // A vector is one row, unless its elements are the heads' rows; a slice of a row is cut from the
  // blocks that hold it.
  const bool matrix = source.shape.rank() == 2 || source.head_dim != 0;
  const int64_t columns = source.shape.rank() == 2 ? source.shape[1] : matrix ? 1 : source.shape[0];
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
    const int64_t row =
        source.head_dim != 0 ? gguf_row(first_row + i, source.head_dim) : first_row + i;
    const int64_t place = row * (columns / per_block) + first_block;
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
