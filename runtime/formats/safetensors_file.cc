#include "runtime/formats/safetensors_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;

// One tensor's entry in the header; its offsets still count from the data's start.
class EntryParser {
 public:
  EntryParser(const std::string& path, const std::string& name, const json& fields)
      : path_(path), name_(name), fields_(fields) {}

  TensorEntry parse() const {
    if (!fields_.is_object() || fields_.size() != 3) fail("not dtype, shape and data_offsets");
    TensorEntry entry{.name = name_, .dtype = dtype(), .shape = shape()};
    const std::vector<uint64_t> offsets = numbers("data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1]) fail("data_offsets are not [begin, end]");
    entry.offset = offsets[0];
    entry.bytes = offsets[1] - offsets[0];
    const uint64_t wanted = static_cast<uint64_t>(entry.shape.numel()) * dtype_size(entry.dtype);
    if (entry.bytes != wanted) {
      fail(fmt::format("data_offsets [{}, {}] are {} bytes; {} {} takes {}", offsets[0], offsets[1],
                       entry.bytes, dtype_name(entry.dtype), entry.shape.to_string(), wanted));
    }
    return entry;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: tensor {}: {}", path_, printable(name_), what));
  }

  const json& field(const char* key) const {
    const auto found = fields_.find(key);
    if (found == fields_.end()) fail(fmt::format("{} is missing", key));
    return *found;
  }

  DType dtype() const {
    const json& value = field("dtype");
    if (!value.is_string()) fail("dtype is not a string");
    const auto known = dtype_from_name(value.get_ref<const std::string&>());
    if (!known) {
      fail(fmt::format("dtype {} is not known", printable(value.get_ref<const std::string&>())));
    }
    return *known;
  }

  std::vector<uint64_t> numbers(const char* key) const {
    const json& value = field(key);
    if (!value.is_array() || !std::ranges::all_of(value, &json::is_number_unsigned)) {
      fail(fmt::format("{} is not a list of non-negative integers", key));
    }
    return value.get<std::vector<uint64_t>>();
  }

  Shape shape() const {
    std::vector<int64_t> extents;
    uint64_t elements = 1;
    for (uint64_t extent : numbers("shape")) {
      if (extents.size() == Shape::kMaxRank) {
        fail(fmt::format("shape has more than {} dimensions", Shape::kMaxRank));
      }
      if (extent > kMaxElements / std::max<uint64_t>(elements, 1)) {
        fail(fmt::format("shape: dimension {} is {}", extents.size(), extent));
      }
      elements *= extent;
      extents.push_back(static_cast<int64_t>(extent));
    }
    return Shape(extents);
  }

  const std::string& path_;
  const std::string& name_;
  const json& fields_;
};

json read_header(const InputFile& file) {
  const std::string path = file.path().string();
  FileCursor in(file);
  const auto length = in.read<uint64_t>("header length");
  if (length > kMaxHeaderBytes) {
    throw InputError(
        fmt::format("{}: header length {} is more than {}", path, length, kMaxHeaderBytes));
  }
  json header = parse_json(in.read_string(length, "header length"), path + ": header");
  if (!header.is_object()) throw InputError(path + ": header is not a JSON object");
  return header;
}

void check_metadata(const json& metadata, const std::string& path) {
  if (!metadata.is_object() || !std::ranges::all_of(metadata, &json::is_string)) {
    throw InputError(path + ": header: __metadata__ is not an object of strings");
  }
}

// The tensors tile the data: no gap, no overlap, nothing after the last.
void check_layout(std::vector<TensorEntry>& entries, uint64_t data_bytes, const std::string& path) {
  std::ranges::sort(entries, [](const auto& a, const auto& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  uint64_t end = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.offset != end) {
      throw InputError(fmt::format("{}: tensor {}: data_offsets begin at {}, where {} is due", path,
                                   printable(entry.name), entry.offset, end));
    }
    if (entry.bytes > data_bytes - end) {
      throw InputError(fmt::format("{}: tensor {}: data_offsets [{}, {}] pass the {} bytes of data",
                                   path, printable(entry.name), entry.offset,
                                   entry.offset + entry.bytes, data_bytes));
    }
    end += entry.bytes;
  }
  if (end != data_bytes) {
    throw InputError(
        fmt::format("{}: {} bytes after the last tensor's end at {}", path, data_bytes - end, end));
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : TensorFile(path) {
  const json header = read_header(file_);
  uint64_t length = 0;
  file_.read(0, std::as_writable_bytes(std::span(&length, 1)));
  data_begin_ = sizeof(length) + length;
  for (const auto& [name, fields] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(fields, path.string());
    } else {
      entries_.push_back(EntryParser(path.string(), name, fields).parse());
    }
  }
  check_layout(entries_, file_.size() - data_begin_, path.string());
  for (TensorEntry& entry : entries_) entry.offset += data_begin_;
  std::ranges::sort(entries_, {}, &TensorEntry::name);
}

}  // namespace octet
