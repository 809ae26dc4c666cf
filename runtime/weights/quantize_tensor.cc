#include "runtime/weights/quantize_tensor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "kernels/check.h"
#include "runtime/weights/finite.h"
#include "runtime/weights/hash.h"
#include "runtime/weights/quantize_rows.h"

namespace octet {
namespace {

// A vector is a column: rows of one element, so that both kinds are cut along their rows.
int64_t row_elements(const Shape& shape) { return shape.rank() == 2 ? shape[1] : 1; }

int64_t rows_per_chunk(uint64_t row_bytes) {
  constexpr int64_t kBlock = WeightBlocks::kBlock;
  const auto rows = static_cast<int64_t>(kQuantizeChunkBytes / row_bytes);
  return std::max(kBlock, rows / kBlock * kBlock);
}

void to_f32(const Tensor& from, std::span<float> to) {
  if (from.dtype() == DType::kF32) {
    std::ranges::copy(from.span<float>(), to.begin());
  } else {
    const auto convert = from.dtype() == DType::kF16 ? f16_to_f32 : bf16_to_f32;
    std::ranges::transform(from.span<uint16_t>(), to.begin(), convert);
  }
}

// Rows as the artefact stores them; int8 rows also give their scales.
void convert_rows(std::span<const float> values, int64_t columns, const Tensor& stored,
                  std::span<float> scales) {
  if (stored.dtype() == DType::kF32) {
    std::ranges::copy(values, stored.span<float>().begin());
  } else if (stored.dtype() == DType::kBF16) {
    std::ranges::transform(values, stored.span<uint16_t>().begin(), f32_to_bf16);
  } else {
    const auto width = static_cast<size_t>(columns);
    for (size_t row = 0; row < scales.size(); ++row) {
      scales[row] = quantize_row(values.subspan(row * width, width),
                                 stored.span<int8_t>().subspan(row * width, width));
    }
  }
}

// Writes and hashes the blocks of a tensor whose rows come in order.
class BlocksWriter {
 public:
  BlocksWriter(const PlannedTensor& tensor, SafetensorsWriter& writer)
      : tensor_(tensor),
        planned_(*tensor.blocks),
        writer_(writer),
        block_bytes_(static_cast<size_t>(planned_.layout.block_bytes())),
        hasher_(tensor.axis, planned_.cuts, block_bytes_, dtype_size(tensor.dtype)) {}

  // REQUIRES: whole blocks, but for the tensor's last rows.
  void add(const Tensor& rows) {
    const int64_t count = WeightBlocks::count(rows.dim(0)), row_bytes = rows.dim(1) * element();
    buffer_.resize(static_cast<size_t>(count) * block_bytes_);
    for (int64_t block = 0; block < count; ++block) {
      std::array<const std::byte*, WeightBlocks::kBlock> from{};
      for (int64_t lane = 0; lane < WeightBlocks::kBlock; ++lane) {
        const int64_t row = block * WeightBlocks::kBlock + lane;
        if (row < rows.dim(0)) from[lane] = rows.raw_data() + row * row_bytes;
      }
      planned_.layout.lay_out(from, buffer_.data() + static_cast<size_t>(block) * block_bytes_);
    }
    writer_.write(tensor_.blocks_name(), written_, buffer_);
    written_ += buffer_.size();
    hasher_.add_rows(buffer_);
  }

  std::vector<uint64_t> finish() const { return hasher_.finish(); }

 private:
  int64_t element() const { return static_cast<int64_t>(dtype_size(tensor_.dtype)); }

  const PlannedTensor& tensor_;
  const PlannedBlocks& planned_;
  SafetensorsWriter& writer_;
  size_t block_bytes_;
  PartHasher hasher_;
  std::vector<std::byte> buffer_;
  uint64_t written_ = 0;
};

std::vector<uint64_t> hash_entry(const SafetensorsFile& file, const TensorEntry& entry, int axis,
                                 const std::vector<int64_t>& cuts) {
  const uint64_t element = dtype_size(entry.dtype);
  const uint64_t row_bytes = static_cast<uint64_t>(row_elements(entry.shape)) * element;
  PartHasher hasher(axis, cuts, row_bytes, element);
  std::vector<std::byte> buffer(static_cast<uint64_t>(rows_per_chunk(row_bytes)) * row_bytes);
  for (uint64_t at = 0; at < entry.bytes; at += buffer.size()) {
    buffer.resize(std::min<uint64_t>(buffer.size(), entry.bytes - at));
    file.file().read(entry.offset + at, buffer);
    hasher.add_rows(buffer);
  }
  return hasher.finish();
}

}  // namespace

std::map<std::string, std::vector<uint64_t>> quantize_tensor(const Checkpoint& source,
                                                             const PlannedTensor& tensor,
                                                             SafetensorsWriter& writer,
                                                             SafetensorsWriter* blocks) {
  const TensorInfo& info = *tensor.source;
  const int64_t rows = info.shape[0], columns = row_elements(info.shape);
  const uint64_t element = dtype_size(tensor.dtype);
  const uint64_t row_bytes = static_cast<uint64_t>(columns) * element;
  PartHasher hasher(tensor.axis, tensor.cuts, row_bytes, element);
  const int64_t step =
      std::min(rows, rows_per_chunk(static_cast<uint64_t>(columns) * sizeof(float)));
  std::vector<float> values(static_cast<size_t>(step * columns));
  std::vector<float> scales(tensor.dtype == DType::kI8 ? static_cast<size_t>(rows) : 0);
  std::optional<BlocksWriter> blocks_writer;
  if (tensor.blocks) blocks_writer.emplace(tensor, *blocks);
  const auto shape_of = [&](int64_t count) {
    return info.shape.rank() == 2 ? Shape{count, columns} : Shape{count};
  };
  const Tensor raw_buffer = Tensor::host(info.dtype, shape_of(step));
  const Tensor stored_buffer = Tensor::host(tensor.dtype, shape_of(step));

  for (int64_t row = 0; row < rows; row += step) {
    const int64_t count = std::min(step, rows - row);
    const Tensor raw = raw_buffer.rows(0, count), stored = stored_buffer.rows(0, count);
    const TensorSlice slice{.axis = 0, .begin = row, .end = row + count};
    if (info.dtype == DType::kI8) {
      source.read(info.name, slice, stored);
    } else {
      source.read(info.name, slice, raw);
      const auto chunk = std::span(values).first(static_cast<size_t>(count * columns));
      require_finite(source, info.name, slice, raw);
      to_f32(raw, chunk);
      convert_rows(chunk, columns, stored,
                   scales.empty() ? std::span<float>()
                                  : std::span(scales).subspan(static_cast<size_t>(row),
                                                              static_cast<size_t>(count)));
      require_finite(source, info.name, slice, stored);  // its type may hold less
    }
    const std::span<const std::byte> bytes(stored.raw_data(), stored.bytes());
    writer.write(tensor.name(), static_cast<uint64_t>(row) * row_bytes, bytes);
    hasher.add_rows(bytes);
    if (blocks_writer) blocks_writer->add(stored);
  }
  if (info.dtype == DType::kI8) {
    source.read(tensor.scale_name(), {.axis = 0, .begin = 0, .end = rows},
                Tensor::view(scales.data(), DType::kF32, Shape{rows}));
  }
  std::map<std::string, std::vector<uint64_t>> hashes = {{tensor.name(), hasher.finish()}};
  if (blocks_writer) hashes[tensor.blocks_name()] = blocks_writer->finish();
  if (!scales.empty()) {
    writer.write(tensor.scale_name(), 0, std::as_bytes(std::span(scales)));
    PartHasher scale_hasher(0, tensor.scale_cuts, sizeof(float), sizeof(float));
    scale_hasher.add_rows(std::as_bytes(std::span(scales)));
    hashes[tensor.scale_name()] = scale_hasher.finish();
  }
  return hashes;
}

std::map<std::string, std::vector<uint64_t>> stored_hashes(const SafetensorsFile& file,
                                                           const SafetensorsFile* blocks,
                                                           const PlannedTensor& tensor) {
  std::map<std::string, std::vector<uint64_t>> hashes;
  const auto add = [&](const SafetensorsFile& in, const std::string& name, int axis,
                       const std::vector<int64_t>& cuts) {
    const TensorEntry* entry = in.find(name);
    OCTET_CHECK(entry != nullptr, "{} is not in {}", name, in.file().path().string());
    hashes[name] = hash_entry(in, *entry, axis, cuts);
  };
  add(file, tensor.name(), tensor.axis, tensor.cuts);
  if (tensor.dtype == DType::kI8) add(file, tensor.scale_name(), 0, tensor.scale_cuts);
  if (tensor.blocks) add(*blocks, tensor.blocks_name(), tensor.axis, tensor.blocks->cuts);
  return hashes;
}

}  // namespace octet
