#include "runtime/weights/artefact_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/check.h"
#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/hash.h"
#include "runtime/weights/slice_io.h"

namespace octet {
namespace {

constexpr uint64_t kMaxManifestBytes = 256 << 20;

bool is_safetensors(const std::string& name) { return name.ends_with(".safetensors"); }

// The size, and the hash of the first `bytes` bytes: all of a small file, the header of a
// safetensors file.
void check_file(const std::filesystem::path& path, const ArtefactFile& expected) {
  const InputFile file(path);
  if (file.size() != expected.bytes) {
    throw InputError(fmt::format("{}: {} bytes; {} says {}", path.string(), file.size(),
                                 kArtefactManifest, expected.bytes));
  }
  uint64_t bytes = file.size();
  if (is_safetensors(path.string())) {
    FileCursor cursor(file);
    const auto length = cursor.read<uint64_t>("header length");
    cursor.expect(length, 1, "header length");
    bytes = cursor.position() + length;
  }
  Hasher hasher;
  std::vector<std::byte> buffer(std::min<uint64_t>(bytes, 1 << 20));
  for (uint64_t at = 0; at < bytes;) {
    const std::span<std::byte> piece(buffer.data(), std::min<uint64_t>(bytes - at, buffer.size()));
    file.read(at, piece);
    hasher.add(piece);
    at += piece.size();
  }
  if (const uint64_t hash = hasher.finish(); hash != expected.hash) {
    throw InputError(fmt::format("{}: checksum {}{}; {} says {}", path.string(), hash_text(hash),
                                 bytes < file.size() ? " of the header" : "", kArtefactManifest,
                                 hash_text(expected.hash)));
  }
}

void copy_slice(const Tensor& from, const TensorSlice& slice, const Tensor& to) {
  const ByteRuns runs = byte_runs(from.shape(), slice, dtype_size(from.dtype()));
  for (uint64_t row = 0; row < runs.rows; ++row) {
    std::memcpy(to.raw_data() + row * runs.run_bytes,
                from.raw_data() + runs.begin + row * runs.stride, runs.run_bytes);
  }
}

}  // namespace

ArtefactCheckpoint::ArtefactCheckpoint(const std::filesystem::path& folder) : path_(folder) {
  const std::filesystem::path manifest = folder / kArtefactManifest;
  manifest_ = parse_manifest(read_text_file(manifest, kMaxManifestBytes), manifest.string());
  for (const char* needed : {"config.json", kSafetensorsIndex}) {
    if (!manifest_.files.contains(needed)) {
      throw InputError(fmt::format("{}: files: {} is missing", manifest.string(), needed));
    }
  }
  for (const auto& [name, expected] : manifest_.files) check_file(folder / name, expected);
  config_ = read_json_file(folder / "config.json");
  files_ = std::make_unique<SafetensorsFolder>(folder);
  for (const auto& [name, place] : files_->tensors()) check_tensor(name, place);
  for (const auto& [name, tensor] : manifest_.tensors) {
    const auto found = files_->tensors().find(name);
    if (found == files_->tensors().end()) {
      throw InputError(fmt::format("{}: tensor {}: not in {}", manifest.string(), printable(name),
                                   kSafetensorsIndex));
    }
    const TensorEntry& entry = *found->second.entry;
    mapped_.add_tensor(name, *found->second.file, entry, tensor);
    tensors_.push_back({.name = name,
                        .dtype = entry.dtype,
                        .shape = entry.shape,
                        .stored_as = std::string(dtype_name(entry.dtype)),
                        .stored_bytes = entry.bytes,
                        .parts = static_cast<int>(tensor.hashes.size())});
  }
  for (const auto& [name, blocks] : manifest_.blocks) open_blocks(name, blocks);
}

// Blocks have the shape that the weight gives them, and lie in a file of this artefact.
void ArtefactCheckpoint::open_blocks(const std::string& name, const ArtefactTensor& blocks) {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: blocks of {}: {}", (path_ / kArtefactManifest).string(),
                                 printable(name), what));
  };
  const auto weight = files_->tensors().find(name);
  if (weight == files_->tensors().end()) fail("there is no such tensor");
  if (!manifest_.files.contains(blocks.file)) {
    fail(fmt::format("file {} is not among the files", printable(blocks.file)));
  }
  auto& file = block_files_[blocks.file];
  if (file == nullptr) file = std::make_unique<SafetensorsFile>(path_ / blocks.file);
  const TensorEntry* entry = file->find(name + "_blocks");
  if (entry == nullptr) fail(fmt::format("not in {}", blocks.file));

  const TensorEntry& rows = *weight->second.entry;
  const ArtefactTensor& tensor = manifest_.tensors.at(name);
  if (rows.shape.rank() != 2 || tensor.axis != blocks.axis) {
    fail(fmt::format("axis {} of {} {}", blocks.axis, dtype_name(rows.dtype),
                     rows.shape.to_string()));
  }
  const bool int8 = rows.dtype == DType::kI8;
  const std::vector<int64_t> column_cuts =
      tensor.axis == 1 ? tensor.cuts : std::vector<int64_t>{0, rows.shape[1]};
  const WeightBlocks layout(rows.dtype, int8, column_cuts);
  const Shape expected{WeightBlocks::count(rows.shape[0]),
                       WeightBlocks::kBlock * layout.padded_columns()};
  if (entry->dtype != (int8 ? DType::kU8 : rows.dtype) || !(entry->shape == expected)) {
    fail(fmt::format("{} {} in {}, must be {}", dtype_name(entry->dtype), entry->shape.to_string(),
                     blocks.file, expected.to_string()));
  }
  std::vector<int64_t> of_shards;
  for (const WeightBlocks::Shard& shard : layout.shards()) {
    of_shards.push_back(WeightBlocks::kBlock * shard.place);
  }
  of_shards.push_back(expected[1]);
  if (blocks.cuts.back() != expected[blocks.axis] ||
      (blocks.axis == 1 && blocks.cuts != of_shards)) {
    fail(fmt::format("cuts end at {}, the shape is {}", blocks.cuts.back(), expected.to_string()));
  }
  mapped_.add_blocks(name, *file, *entry, blocks, rows.shape[0], column_cuts);
}

// The tensor, as the safetensors file has it, is what octet.json says; int8 weights have their
// scales.
void ArtefactCheckpoint::check_tensor(const std::string& name, const TensorPlace& place) const {
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: tensor {}: {}", (path_ / kArtefactManifest).string(),
                                 printable(name), what));
  };
  const auto found = manifest_.tensors.find(name);
  if (found == manifest_.tensors.end()) fail("is missing");
  const ArtefactTensor& tensor = found->second;
  const Shape& shape = place.entry->shape;
  const std::string file = place.file->file().path().filename().string();
  if (tensor.file != file) fail(fmt::format("file is {}, not {}", printable(tensor.file), file));
  if (!manifest_.files.contains(file)) fail("file is not among the files");
  if (shape.rank() <= tensor.axis || (tensor.axis == 1 && shape.rank() != 2) ||
      shape.numel() == 0) {
    fail(fmt::format("axis {} of the shape {}", tensor.axis, shape.to_string()));
  }
  if (tensor.cuts.back() != shape[tensor.axis]) {
    fail(fmt::format("cuts end at {}, the shape is {}", tensor.cuts.back(), shape.to_string()));
  }
  if (place.entry->dtype != DType::kI8) return;
  const auto scale = files_->tensors().find(name + "_scale");
  if (scale == files_->tensors().end() || scale->second.entry->dtype != DType::kF32 ||
      scale->second.entry->shape != Shape{shape[0]}) {
    fail(fmt::format("int8, without a {}_scale of F32 [{}]", printable(name), shape[0]));
  }
}

void ArtefactCheckpoint::read(std::string_view name, const TensorSlice& slice,
                              const Tensor& out) const {
  const auto found = manifest_.tensors.find(name);
  OCTET_CHECK(found != manifest_.tensors.end(), "{} has no {}", path_.string(), name);
  const auto& [key, tensor] = *found;
  const TensorEntry& entry = *files_->tensors().find(name)->second.entry;
  check_slice(key, entry.dtype, entry.shape, slice, out);
  if (slice.begin == slice.end) return;

  const bool all = slice.end - slice.begin == entry.shape[slice.axis];
  if (all) return read_parts(key, 0, tensor.hashes.size(), out);
  const auto parts = find_parts(tensor.cuts, slice.begin, slice.end);
  if (slice.axis == tensor.axis && parts) return read_parts(key, parts->begin, parts->end, out);
  const Tensor whole = Tensor::host(entry.dtype, entry.shape);
  read_parts(key, 0, tensor.hashes.size(), whole);
  copy_slice(whole, slice, out);
}

void ArtefactCheckpoint::read_parts(const std::string& name, size_t part_begin, size_t part_end,
                                    const Tensor& out) const {
  const ArtefactTensor& tensor = manifest_.tensors.find(name)->second;
  const auto& [file, entry] = files_->tensors().find(name)->second;
  std::vector<int64_t> cuts(tensor.cuts.begin() + static_cast<int64_t>(part_begin),
                            tensor.cuts.begin() + static_cast<int64_t>(part_end) + 1);
  const TensorSlice slice{.axis = tensor.axis, .begin = cuts.front(), .end = cuts.back()};
  read_slice(file->file(), entry->offset, entry->shape, slice, out, bytes_read_);

  for (int64_t& cut : cuts) cut -= slice.begin;
  PartHasher hasher(tensor.axis, std::move(cuts), out.bytes() / static_cast<size_t>(out.dim(0)),
                    dtype_size(out.dtype()));
  hasher.add_rows({out.raw_data(), out.bytes()});
  require_hashes(file->file().path(), name, tensor, part_begin, hasher.finish());
}

void ArtefactCheckpoint::copy_companions(const std::filesystem::path& folder) const {
  for (const auto& [name, file] : manifest_.files) {
    if (is_safetensors(name) || name == kSafetensorsIndex) continue;
    write_text_file(folder / name, read_text_file(path_ / name, file.bytes));
  }
}

}  // namespace octet
