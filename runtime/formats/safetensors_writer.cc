#include "runtime/formats/safetensors_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "kernels/check.h"

namespace octet {
namespace {

uint64_t bytes_of(const SafetensorsSpec& spec) {
  return static_cast<uint64_t>(spec.shape.numel()) * dtype_size(spec.dtype);
}

std::vector<SafetensorsSpec> laid_out(std::span<const SafetensorsSpec> tensors) {
  std::vector<SafetensorsSpec> sorted(tensors.begin(), tensors.end());
  std::ranges::stable_sort(sorted, std::ranges::greater(),
                           [](const SafetensorsSpec& spec) { return dtype_size(spec.dtype); });
  return sorted;
}

}  // namespace

std::string safetensors_header(std::span<const SafetensorsSpec> tensors) {
  nlohmann::json header = nlohmann::json::object();
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t offset = 0;
  for (const SafetensorsSpec& spec : laid_out(tensors)) {
    std::vector<int64_t> extents;
    for (int i = 0; i < spec.shape.rank(); ++i) extents.push_back(spec.shape[i]);
    header[spec.name] = {{"dtype", dtype_name(spec.dtype)},
                         {"shape", extents},
                         {"data_offsets", {offset, offset + bytes_of(spec)}}};
    offset += bytes_of(spec);
  }
  std::string text = header.dump();
  constexpr size_t kLine = 64;
  const size_t end = (sizeof(uint64_t) + text.size() + kLine - 1) / kLine * kLine;
  text.resize(end - sizeof(uint64_t), ' ');
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + text;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     std::span<const SafetensorsSpec> tensors, bool resume)
    : file_(path, resume ? OutputFile::Mode::kKeep : OutputFile::Mode::kReplace) {
  const std::string header = safetensors_header(tensors);
  size_ = header.size();
  for (const SafetensorsSpec& spec : laid_out(tensors)) {
    places_[spec.name] = {.offset = size_, .bytes = bytes_of(spec)};
    size_ += bytes_of(spec);
  }
  file_.write(0, header);
  file_.resize(size_);
}

void SafetensorsWriter::write(const std::string& tensor, uint64_t offset,
                              std::span<const std::byte> bytes) {
  const auto found = places_.find(tensor);
  OCTET_CHECK(found != places_.end(), "tensor {} was not declared", tensor);
  const Place& place = found->second;
  OCTET_CHECK(offset <= place.bytes && bytes.size() <= place.bytes - offset,
              "tensor {}: {} bytes at {} of {}", tensor, bytes.size(), offset, place.bytes);
  file_.write(place.offset + offset, bytes);
}

}  // namespace octet
