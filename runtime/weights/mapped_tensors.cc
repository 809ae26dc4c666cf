#include "runtime/weights/mapped_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/check.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/finite.h"
#include "runtime/weights/hash.h"

namespace octet {
namespace {

constexpr int64_t kBlock = WeightBlocks::kBlock;

bool is_aligned(const TensorEntry& entry) { return entry.offset % dtype_size(entry.dtype) == 0; }

// Memory of others is only read; Tensor does not know such.
Tensor view_of(const std::byte* data, DType dtype, Shape shape) {
  return Tensor::view(const_cast<std::byte*>(data), dtype, shape);
}

void require_finite_part(const std::filesystem::path& path, const std::string& name, size_t part,
                         const std::byte* data, DType dtype, uint64_t bytes) {
  const auto count = static_cast<int64_t>(bytes / dtype_size(dtype));
  const Tensor values = view_of(data, dtype, {count});
  if (const int64_t at = find_non_finite(values); at >= 0) {
    throw InputError(fmt::format("{}: tensor {}: part {}: a value is {}", path.string(),
                                 printable(name), part, element(values, at)));
  }
}

}  // namespace

void MappedTensors::add_tensor(const std::string& name, const TensorFile& file,
                               const TensorEntry& entry, const ArtefactTensor& tensor) {
  tensors_[name] = {.name = name, .file = &file, .entry = &entry, .tensor = &tensor};
}

void MappedTensors::add_blocks(const std::string& name, const TensorFile& file,
                               const TensorEntry& entry, const ArtefactTensor& tensor, int64_t rows,
                               std::vector<int64_t> column_cuts) {
  blocks_[name] = {.name = name,
                   .file = &file,
                   .entry = &entry,
                   .tensor = &tensor,
                   .rows = rows,
                   .column_cuts = std::move(column_cuts)};
}

std::shared_ptr<const std::byte> MappedTensors::data(const Mapped& mapped) const {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<const std::byte>& file = files_[mapped.file];
  if (file == nullptr) file = mapped.file->file().map();
  if (file == nullptr) {
    throw InputError(fmt::format("{}: cannot be mapped; --no-mmap copies it",
                                 mapped.file->file().path().string()));
  }
  return {file, file.get() + mapped.entry->offset};
}

bool MappedTensors::has_rows(std::string_view name, const TensorSlice& slice) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end() || !is_aligned(*found->second.entry)) return false;
  const ArtefactTensor& tensor = *found->second.tensor;
  return tensor.axis == 0 && slice.axis == 0 && find_parts(tensor.cuts, slice.begin, slice.end);
}

Tensor MappedTensors::rows(std::string_view name, const TensorSlice& slice, Checks& checks) const {
  OCTET_CHECK(has_rows(name, slice), "{} [{}, {})", name, slice.begin, slice.end);
  const Mapped& mapped = tensors_.find(name)->second;
  const auto memory = data(mapped);
  add_checks(mapped, *find_parts(mapped.tensor->cuts, slice.begin, slice.end), memory, checks);
  const Shape& shape = mapped.entry->shape;
  const uint64_t row_bytes = mapped.entry->bytes / static_cast<uint64_t>(shape[0]);
  std::vector<int64_t> extents{slice.end - slice.begin};
  for (int i = 1; i < shape.rank(); ++i) extents.push_back(shape[i]);
  const Tensor view = view_of(memory.get() + static_cast<uint64_t>(slice.begin) * row_bytes,
                              mapped.entry->dtype, Shape(extents));
  return {{std::const_pointer_cast<std::byte>(memory), view.raw_data()},
          mapped.entry->dtype,
          view.shape()};
}

// Rows begin and end where blocks do, but for the weight's last ones.
std::optional<PartRange> MappedTensors::parts_of_blocks(const Mapped& mapped,
                                                        const TensorSlice& slice) {
  if (slice.axis != mapped.tensor->axis || !is_aligned(*mapped.entry)) return std::nullopt;
  if (slice.axis == 1) return find_parts(mapped.column_cuts, slice.begin, slice.end);
  if (slice.begin % kBlock != 0 || (slice.end % kBlock != 0 && slice.end != mapped.rows)) {
    return std::nullopt;
  }
  return find_parts(mapped.tensor->cuts, slice.begin / kBlock, WeightBlocks::count(slice.end));
}

bool MappedTensors::has_blocks(std::string_view name, const TensorSlice& slice,
                               const std::vector<int64_t>& column_cuts) const {
  const auto found = blocks_.find(name);
  return found != blocks_.end() && column_cuts == found->second.column_cuts &&
         parts_of_blocks(found->second, slice).has_value();
}

BlockRows MappedTensors::blocks(std::string_view name, const TensorSlice& slice,
                                Checks& checks) const {
  const auto found = blocks_.find(name);
  const auto parts = found == blocks_.end() ? std::nullopt : parts_of_blocks(found->second, slice);
  OCTET_CHECK(parts, "{} [{}, {})", name, slice.begin, slice.end);
  const Mapped& mapped = found->second;
  const auto memory = data(mapped);
  add_checks(mapped, *parts, memory, checks);
  const bool of_columns = slice.axis == 1;
  const auto element = static_cast<int64_t>(dtype_size(mapped.entry->dtype));
  const int64_t block_bytes = mapped.entry->shape[1] * element;
  const int64_t begin = mapped.tensor->cuts[parts->begin] * (of_columns ? element : block_bytes);
  return {.first = {memory, memory.get() + begin},
          .stride = block_bytes,
          .rows = of_columns ? mapped.rows : slice.end - slice.begin};
}

void MappedTensors::check_blocks(std::string_view name, const Tensor& weight) const {
  const auto found = blocks_.find(name);
  if (found == blocks_.end()) return;
  const Mapped& mapped = found->second;
  const auto memory = data(mapped);
  const WeightBlocks layout(weight.dtype(), weight.dtype() == DType::kI8, mapped.column_cuts);
  std::vector<std::byte> expected(static_cast<size_t>(layout.block_bytes()));
  const int64_t row_bytes = weight.dim(1) * static_cast<int64_t>(dtype_size(weight.dtype()));
  for (int64_t block = 0; block < mapped.entry->shape[0]; ++block) {
    std::array<const std::byte*, kBlock> rows{};
    for (int64_t lane = 0; lane < kBlock && block * kBlock + lane < mapped.rows; ++lane) {
      rows[lane] = weight.raw_data() + (block * kBlock + lane) * row_bytes;
    }
    layout.lay_out(rows, expected.data());
    if (std::memcmp(expected.data(), memory.get() + block * layout.block_bytes(),
                    expected.size()) != 0) {
      throw InputError(fmt::format("{}: tensor {}: block {} is not what the weight gives",
                                   mapped.file->file().path().string(), printable(mapped.name),
                                   block));
    }
  }
  Checks checks(1);
  add_checks(mapped, {0, mapped.tensor->hashes.size()}, memory, checks);
  checks.finish();
}

// Parts of axis 0 are one after the other in the file; those of axis 1 share each row.
void MappedTensors::add_checks(const Mapped& mapped, const PartRange& parts,
                               const std::shared_ptr<const std::byte>& data, Checks& checks) const {
  if (parts.begin == parts.end) return;
  const ArtefactTensor& tensor = *mapped.tensor;
  const DType dtype = mapped.entry->dtype;
  const uint64_t element = dtype_size(dtype);
  const auto rows = static_cast<uint64_t>(mapped.entry->shape[0]);
  const uint64_t row_bytes = mapped.entry->bytes / rows;
  const std::filesystem::path& path = mapped.file->file().path();
  if (tensor.axis == 0) {
    for (size_t part = parts.begin; part < parts.end; ++part) {
      const std::byte* begin = data.get() + static_cast<uint64_t>(tensor.cuts[part]) * row_bytes;
      const uint64_t bytes =
          static_cast<uint64_t>(tensor.cuts[part + 1] - tensor.cuts[part]) * row_bytes;
      bytes_ += bytes;
      checks.add([=, &mapped, &tensor, &path] {
        const uint64_t hash = hash_bytes({begin, bytes});
        require_hashes(path, mapped.name, tensor, part, std::span(&hash, 1));
        require_finite_part(path, mapped.name, part, begin, dtype, bytes);
      });
    }
    return;
  }
  const int64_t first = tensor.cuts[parts.begin];
  const uint64_t run = static_cast<uint64_t>(tensor.cuts[parts.end] - first) * element;
  const std::byte* begin = data.get() + static_cast<uint64_t>(first) * element;
  bytes_ += run * rows;
  checks.add([=, &mapped, &tensor, &path] {
    std::vector<int64_t> cuts(tensor.cuts.begin() + static_cast<int64_t>(parts.begin),
                              tensor.cuts.begin() + static_cast<int64_t>(parts.end) + 1);
    for (int64_t& cut : cuts) cut -= first;
    PartHasher hasher(1, std::move(cuts), run, element);
    for (uint64_t row = 0; row < rows; ++row) hasher.add_rows({begin + row * row_bytes, run});
    require_hashes(path, mapped.name, tensor, parts.begin, hasher.finish());
  });
}

}  // namespace octet
