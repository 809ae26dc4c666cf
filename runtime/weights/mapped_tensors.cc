#include "runtime/weights/mapped_tensors.h"

#include <algorithm>

#include "kernels/check.h"
#include "runtime/weights/hash.h"

namespace octet {
namespace {

// Of a weight with so many rows: the blocks that rows [begin, end) fill, up to the padding.
std::optional<PartRange> find_block_parts(const std::vector<int64_t>& cuts, int64_t rows,
                                          const TensorSlice& slice) {
  constexpr int64_t kBlock = WeightBlocks::kBlock;
  if (slice.begin % kBlock != 0 || (slice.end % kBlock != 0 && slice.end != rows)) {
    return std::nullopt;
  }
  return find_parts(cuts, slice.begin / kBlock, WeightBlocks::count(slice.end));
}

}  // namespace

MappedTensors::Mapped MappedTensors::mapped(const std::string& name, const TensorFile& file,
                                            const TensorEntry& entry,
                                            const ArtefactTensor& tensor) {
  const auto [found, is_new] = files_.try_emplace(&file);
  if (is_new) found->second = file.file().map();
  const std::byte* data = found->second == nullptr ? nullptr : found->second.get() + entry.offset;
  return {.name = name,
          .data = {found->second, data},
          .file = &file,
          .entry = &entry,
          .tensor = &tensor};
}

void MappedTensors::add_tensor(const std::string& name, const TensorFile& file,
                               const TensorEntry& entry, const ArtefactTensor& tensor) {
  tensors_[name] = mapped(name, file, entry, tensor);
}

void MappedTensors::add_blocks(const std::string& name, const TensorFile& file,
                               const TensorEntry& entry, const ArtefactTensor& tensor, int64_t rows,
                               std::vector<int64_t> column_cuts) {
  Mapped& added = blocks_[name] = mapped(name, file, entry, tensor);
  added.rows = rows;
  added.column_cuts = std::move(column_cuts);
}

bool MappedTensors::has_rows(std::string_view name, const TensorSlice& slice) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end() || found->second.data == nullptr) return false;
  const ArtefactTensor& tensor = *found->second.tensor;
  return tensor.axis == 0 && slice.axis == 0 && find_parts(tensor.cuts, slice.begin, slice.end);
}

Tensor MappedTensors::rows(std::string_view name, const TensorSlice& slice, Checks& checks) const {
  OCTET_CHECK(has_rows(name, slice), "{} [{}, {})", name, slice.begin, slice.end);
  const Mapped& mapped = tensors_.find(name)->second;
  const auto parts = *find_parts(mapped.tensor->cuts, slice.begin, slice.end);
  add_checks(mapped, parts.begin, parts.end, checks);
  const Shape& shape = mapped.entry->shape;
  const uint64_t row_bytes = mapped.entry->bytes / static_cast<uint64_t>(shape[0]);
  // A Tensor's memory can be written to; this is not, and the operating system sees to it.
  auto* first =
      const_cast<std::byte*>(mapped.data.get()) + static_cast<uint64_t>(slice.begin) * row_bytes;
  std::vector<int64_t> extents{slice.end - slice.begin};
  for (int i = 1; i < shape.rank(); ++i) extents.push_back(shape[i]);
  return {std::shared_ptr<std::byte>(std::const_pointer_cast<std::byte>(mapped.data), first),
          mapped.entry->dtype, Shape(extents)};
}

bool MappedTensors::has_blocks(std::string_view name, const TensorSlice& slice,
                               const std::vector<int64_t>& column_cuts) const {
  const auto found = blocks_.find(name);
  if (found == blocks_.end() || found->second.data == nullptr) return false;
  const Mapped& mapped = found->second;
  if (slice.axis != mapped.tensor->axis || column_cuts != mapped.column_cuts) return false;
  if (slice.axis == 1) return find_parts(column_cuts, slice.begin, slice.end).has_value();
  return find_block_parts(mapped.tensor->cuts, mapped.rows, slice).has_value();
}

BlockRows MappedTensors::blocks(std::string_view name, const TensorSlice& slice,
                                Checks& checks) const {
  const Mapped& mapped = blocks_.find(name)->second;
  const ArtefactTensor& tensor = *mapped.tensor;
  const int axis = tensor.axis;
  const auto parts = axis == 1 ? find_parts(mapped.column_cuts, slice.begin, slice.end)
                               : find_block_parts(tensor.cuts, mapped.rows, slice);
  OCTET_CHECK(parts && slice.axis == axis, "{} [{}, {})", name, slice.begin, slice.end);
  add_checks(mapped, parts->begin, parts->end, checks);
  const Shape& shape = mapped.entry->shape;
  const int64_t element = static_cast<int64_t>(dtype_size(mapped.entry->dtype));
  const int64_t block_bytes = shape[1] * element;
  const int64_t begin = tensor.cuts[parts->begin] * (axis == 1 ? element : block_bytes);
  return {.first = {mapped.data, mapped.data.get() + begin},
          .stride = block_bytes,
          .rows = axis == 1 ? mapped.rows : slice.end - slice.begin};
}

void MappedTensors::check_blocks(Checks& checks) const {
  for (const auto& [name, mapped] : blocks_) {
    add_checks(mapped, 0, mapped.tensor->hashes.size(), checks);
  }
}

// Parts of axis 0 are one after the other in the file; those of axis 1 share each row.
void MappedTensors::add_checks(const Mapped& mapped, size_t part_begin, size_t part_end,
                               Checks& checks) const {
  if (part_begin == part_end) return;
  const ArtefactTensor& tensor = *mapped.tensor;
  const Shape& shape = mapped.entry->shape;
  const uint64_t row_bytes = mapped.entry->bytes / static_cast<uint64_t>(shape[0]);
  const std::filesystem::path& path = mapped.file->file().path();
  if (tensor.axis == 0) {
    for (size_t part = part_begin; part < part_end; ++part) {
      const uint64_t begin = static_cast<uint64_t>(tensor.cuts[part]) * row_bytes;
      const uint64_t end = static_cast<uint64_t>(tensor.cuts[part + 1]) * row_bytes;
      bytes_ += end - begin;
      checks.add([&mapped, &tensor, &path, part, begin, end] {
        const uint64_t hash = hash_bytes({mapped.data.get() + begin, end - begin});
        require_hashes(path, mapped.name, tensor, part, std::span(&hash, 1));
      });
    }
    return;
  }
  const uint64_t element = dtype_size(mapped.entry->dtype);
  const uint64_t begin = static_cast<uint64_t>(tensor.cuts[part_begin]) * element;
  const uint64_t run = static_cast<uint64_t>(tensor.cuts[part_end]) * element - begin;
  bytes_ += run * static_cast<uint64_t>(shape[0]);
  checks.add([=, &mapped, &tensor, &path, rows = shape[0]] {
    std::vector<int64_t> cuts(tensor.cuts.begin() + static_cast<int64_t>(part_begin),
                              tensor.cuts.begin() + static_cast<int64_t>(part_end) + 1);
    for (int64_t& cut : cuts) cut -= tensor.cuts[part_begin];
    PartHasher hasher(1, std::move(cuts), run, element);
    for (int64_t row = 0; row < rows; ++row) {
      hasher.add_rows({mapped.data.get() + static_cast<uint64_t>(row) * row_bytes + begin, run});
    }
    require_hashes(path, mapped.name, tensor, part_begin, hasher.finish());
  });
}

}  // namespace octet
