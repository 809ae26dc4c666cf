#include "runtime/formats/gguf_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <type_traits>
#include <utility>

#include "runtime/formats/file.h"
#include "runtime/formats/ggml_types.h"
#include "runtime/formats/gguf_wire.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr uint64_t kMaxNameBytes = 65535;
constexpr uint64_t kMaxAlignment = 1 << 20;

class Parser {
 public:
  explicit Parser(const InputFile& file) : file_(file), in_(file) {}

  void header() {
    if (in_.read_string(4, "magic") != kGgufMagic) fail("not a GGUF file: no GGUF magic");
    const auto version = in_.read<uint32_t>("version");
    if (version == 2u << 24 || version == 3u << 24)
      fail("a big-endian file; only little-endian is read");
    if (version != 2 && version != 3) fail(fmt::format("version {}; 2 and 3 are known", version));
    num_tensors_ = in_.read<uint64_t>("tensor count");
    num_keys_ = in_.read<uint64_t>("key count");
    in_.expect(num_keys_, 8 + 4 + 1, "key count");
    in_.expect(num_tensors_, 8 + 4 + 4 + 8, "tensor count");
  }

  std::map<std::string, GgufValue, std::less<>> metadata() {
    std::map<std::string, GgufValue, std::less<>> all;
    for (uint64_t i = 0; i < num_keys_; ++i) {
      std::string key = string(fmt::format("key {}", i), kMaxNameBytes);
      const std::string what = "key " + printable(key);
      const auto type = static_cast<GgufWire>(in_.read<uint32_t>(what));
      GgufValue parsed = type == GgufWire::kArray ? array(what) : scalar(type, what);
      if (!all.emplace(std::move(key), std::move(parsed)).second) fail(what + " appears twice");
    }
    return all;
  }

  std::vector<GgufTensor> tensors(uint64_t alignment) {
    std::vector<GgufTensor> all;
    std::set<std::string, std::less<>> names;
    for (uint64_t i = 0; i < num_tensors_; ++i) {
      all.push_back(tensor(i, alignment));
      if (!names.insert(all.back().name).second) {
        fail("tensor " + printable(all.back().name) + " appears twice");
      }
    }
    place(all, alignment);
    return all;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(file_.path().string() + ": " + what);
  }

  std::string string(const std::string& what, uint64_t max_bytes) {
    const auto length = in_.read<uint64_t>(what);
    if (length > max_bytes) fail(fmt::format("{}: a string of {} bytes", what, length));
    return in_.read_string(length, what);
  }

  bool boolean(const std::string& what) {
    const auto byte = in_.read<uint8_t>(what);
    if (byte > 1) fail(fmt::format("{}: the boolean {}", what, byte));
    return byte == 1;
  }

  GgufValue scalar(GgufWire type, const std::string& what) {
    switch (type) {
      case GgufWire::kU8:
        return uint64_t{in_.read<uint8_t>(what)};
      case GgufWire::kI8:
        return int64_t{in_.read<int8_t>(what)};
      case GgufWire::kU16:
        return uint64_t{in_.read<uint16_t>(what)};
      case GgufWire::kI16:
        return int64_t{in_.read<int16_t>(what)};
      case GgufWire::kU32:
        return uint64_t{in_.read<uint32_t>(what)};
      case GgufWire::kI32:
        return int64_t{in_.read<int32_t>(what)};
      case GgufWire::kU64:
        return in_.read<uint64_t>(what);
      case GgufWire::kI64:
        return in_.read<int64_t>(what);
      case GgufWire::kF32:
        return double{in_.read<float>(what)};
      case GgufWire::kF64:
        return in_.read<double>(what);
      case GgufWire::kBool:
        return boolean(what);
      case GgufWire::kString:
        return string(what, in_.remaining());
      case GgufWire::kArray:
        break;
    }
    fail(fmt::format("{}: value type {} is not known", what, static_cast<uint32_t>(type)));
  }

  template <typename Stored, typename Wire>
  GgufValue numbers(uint64_t count, const std::string& what) {
    in_.expect(count, sizeof(Wire), what);
    std::vector<Stored> all(count);
    for (Stored& value : all) value = in_.read<Wire>(what);
    return all;
  }

  GgufValue array(const std::string& what) {
    const auto type = static_cast<GgufWire>(in_.read<uint32_t>(what));
    const auto count = in_.read<uint64_t>(what);
    switch (type) {
      case GgufWire::kU8:
        return numbers<uint64_t, uint8_t>(count, what);
      case GgufWire::kI8:
        return numbers<int64_t, int8_t>(count, what);
      case GgufWire::kU16:
        return numbers<uint64_t, uint16_t>(count, what);
      case GgufWire::kI16:
        return numbers<int64_t, int16_t>(count, what);
      case GgufWire::kU32:
        return numbers<uint64_t, uint32_t>(count, what);
      case GgufWire::kI32:
        return numbers<int64_t, int32_t>(count, what);
      case GgufWire::kU64:
        return numbers<uint64_t, uint64_t>(count, what);
      case GgufWire::kI64:
        return numbers<int64_t, int64_t>(count, what);
      case GgufWire::kF32:
        return numbers<double, float>(count, what);
      case GgufWire::kF64:
        return numbers<double, double>(count, what);
      case GgufWire::kBool: {
        in_.expect(count, 1, what);
        std::vector<bool> all(count);
        for (uint64_t i = 0; i < count; ++i) all[i] = boolean(what);
        return all;
      }
      case GgufWire::kString: {
        in_.expect(count, 8, what);
        std::vector<std::string> all(count);
        for (std::string& text : all) text = string(what, in_.remaining());
        return all;
      }
      case GgufWire::kArray:
        break;
    }
    fail(fmt::format("{}: arrays of type {} are not known", what, static_cast<uint32_t>(type)));
  }

  GgufTensor tensor(uint64_t index, uint64_t alignment) {
    GgufTensor tensor;
    tensor.name = string(fmt::format("tensor {}", index), kMaxNameBytes);
    const std::string what = "tensor " + printable(tensor.name);
    const auto rank = in_.read<uint32_t>(what);
    if (rank < 1 || rank > 4) fail(fmt::format("{}: {} dimensions; 1 to 4 are known", what, rank));
    uint64_t elements = 1;
    for (uint32_t i = 0; i < rank; ++i) {
      const auto extent = in_.read<uint64_t>(what);
      if (extent < 1 || extent > (uint64_t{1} << 48) / elements) {
        fail(fmt::format("{}: dimension {} is {}, after {} elements", what, i, extent, elements));
      }
      elements *= extent;
      tensor.shape.push_back(static_cast<int64_t>(extent));
    }
    tensor.type = in_.read<uint32_t>(what);
    const GgmlTypeInfo* type = find_ggml_type(tensor.type);
    if (type == nullptr) fail(fmt::format("{}: ggml type {} is not known", what, tensor.type));
    if (tensor.shape[0] % type->block_elements != 0) {
      fail(fmt::format("{}: rows of {} elements are not whole {} blocks of {}", what,
                       tensor.shape[0], type->name, type->block_elements));
    }
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    tensor.bytes = elements / static_cast<uint64_t>(type->block_elements) *
                   static_cast<uint64_t>(type->block_bytes);
    tensor.offset = in_.read<uint64_t>(what);
    if (tensor.offset % alignment != 0) {
      fail(fmt::format("{}: offset {} is not a multiple of the alignment {}", what, tensor.offset,
                       alignment));
    }
    return tensor;
  }

  // Offsets counted from the data's start become offsets in the file, inside it and apart from each
  // other.
  void place(std::vector<GgufTensor>& all, uint64_t alignment) const {
    const uint64_t start = (in_.position() + alignment - 1) / alignment * alignment;
    const uint64_t data_bytes = file_.size() - std::min(file_.size(), start);
    std::vector<const GgufTensor*> by_offset;
    for (GgufTensor& tensor : all) {
      if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset) {
        fail(fmt::format("tensor {}: {} bytes at offset {} pass the end of the data ({} bytes)",
                         printable(tensor.name), tensor.bytes, tensor.offset, data_bytes));
      }
      tensor.offset += start;
      by_offset.push_back(&tensor);
    }
    std::ranges::sort(by_offset, {}, &GgufTensor::offset);
    for (size_t i = 1; i < by_offset.size(); ++i) {
      const GgufTensor &left = *by_offset[i - 1], &right = *by_offset[i];
      if (left.offset + left.bytes > right.offset) {
        fail(fmt::format("tensors {} and {} overlap: bytes [{}, {}) and [{}, {})",
                         printable(left.name), printable(right.name), left.offset,
                         left.offset + left.bytes, right.offset, right.offset + right.bytes));
      }
    }
  }

  const InputFile& file_;
  FileCursor in_;
  uint64_t num_tensors_ = 0, num_keys_ = 0;
};

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path) : path_(path) {
  const InputFile file(path);
  Parser parser(file);
  parser.header();
  metadata_ = parser.metadata();
  const uint64_t alignment = get_or<uint64_t>("general.alignment", 32);
  if (alignment < 8 || alignment > kMaxAlignment || alignment % 8 != 0) {
    throw InputError(fmt::format("{}: key 'general.alignment' is {}, not a multiple of 8 up to {}",
                                 path.string(), alignment, kMaxAlignment));
  }
  tensors_ = parser.tensors(alignment);
}

}  // namespace octet
