#include "runtime/formats/torch_file.h"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "runtime/formats/pickle.h"
#include "runtime/formats/printable.h"
#include "runtime/formats/torch_globals.h"
#include "runtime/formats/zip_directory.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr uint64_t kMaxPickleBytes = 16 << 20;
constexpr std::string_view kPickleName = "/data.pkl";
constexpr std::byte kPickleMagic{0x80};

std::string read_entry(const InputFile& file, const ZipRange& range) {
  std::string text(range.bytes, '\0');
  file.read(range.offset, std::as_writable_bytes(std::span(text)));
  return text;
}

// The archive: entries of one folder, "archive/data.pkl" and "archive/data/0", "archive/data/1" ...
class TorchArchive {
 public:
  explicit TorchArchive(const InputFile& file) : file_(file) {
    std::byte first{};
    if (file.size() > 0) file.read(0, {&first, 1});
    if (first == kPickleMagic) {
      fail("a pickle, as torch wrote it before 1.6; save it with torch.save of a later torch");
    }
    directory_ = read_zip_directory(file);
    for (const auto& [name, range] : directory_) {
      if (!name.ends_with(kPickleName)) continue;
      if (!root_.empty()) fail("two data.pkl");
      root_ = name.substr(0, name.size() - kPickleName.size() + 1);
    }
    if (root_.empty()) fail("a ZIP archive without torch.save's data.pkl");
    if (find("constants.pkl") != nullptr) fail("TorchScript; save its state_dict() instead");
    for (const auto& [name, range] : directory_) {
      if (range.compressed) fail(fmt::format("entry {} is compressed", printable(name)));
    }
    const ZipRange* order = find("byteorder");
    if (order != nullptr && (order->bytes != 6 || read_entry(file, *order) != "little")) {
      fail("byteorder is not little");
    }
  }

  const ZipRange* find(const std::string& name) const {
    const auto found = directory_.find(root_ + name);
    return found == directory_.end() ? nullptr : &found->second;
  }

  std::string pickle() const {
    const ZipRange& range = *find("data.pkl");
    if (range.bytes > kMaxPickleBytes) {
      fail(fmt::format("data.pkl: {} bytes, more than {}", range.bytes, kMaxPickleBytes));
    }
    return read_entry(file_, range);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: {}", file_.path().string(), what));
  }

  const InputFile& file_;
  ZipDirectory directory_;
  std::string root_;
};

// One tensor: the call of torch._utils._rebuild_tensor_v2, checked.
class TensorParser {
 public:
  TensorParser(const TorchArchive& archive, const Pickle& pickle, const std::string& path,
               const std::string& name)
      : archive_(archive), pickle_(pickle), path_(path), name_(name) {}

  TensorEntry parse(const PickleValue& value) const {
    const PickleValue* call = &value;
    if (is_call(*call, kRebuildParameter)) call = &argument(*call, 0, 3, 3);
    if (!is_call(*call, kRebuildTensor)) fail("is not a tensor");
    const Storage storage = parse_storage(argument(*call, 0, 6, 7));
    TensorEntry entry{.name = name_, .dtype = storage.dtype};
    const std::vector<uint64_t> extents = numbers(argument(*call, 2, 6, 7), "shape");
    entry.shape = shape(extents);
    check_contiguous(extents, numbers(argument(*call, 3, 6, 7), "strides"));
    check_plain(*call);
    const uint64_t begin = number(argument(*call, 1, 6, 7), "offset");
    const auto elements = static_cast<uint64_t>(entry.shape.numel());
    const uint64_t element = dtype_size(entry.dtype), held = storage.range.bytes / element;
    if (begin > held || elements > held - begin) {
      fail(fmt::format("shape {} at element {} passes its storage of {}", entry.shape.to_string(),
                       begin, held));
    }
    entry.offset = storage.range.offset + begin * element;
    entry.bytes = elements * element;
    return entry;
  }

 private:
  struct Storage {
    DType dtype = DType::kF32;
    ZipRange range;
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: tensor {}: {}", path_, printable(name_), what));
  }

  bool is_call(const PickleValue& value, std::string_view global) const {
    return value.kind == PickleKind::kCall && pickle_[value.items[0]].text == global;
  }

  // Argument i of a call of min to max arguments.
  const PickleValue& argument(const PickleValue& call, size_t i, size_t min, size_t max) const {
    const std::vector<PickleId>& arguments = pickle_[call.items[1]].items;
    if (arguments.size() < min || arguments.size() > max) {
      fail(fmt::format("made of {} arguments", arguments.size()));
    }
    return pickle_[arguments[i]];
  }

  uint64_t number(const PickleValue& value, const char* what) const {
    if (value.kind != PickleKind::kInt || value.number < 0) {
      fail(fmt::format("{} is not a non-negative integer", what));
    }
    return static_cast<uint64_t>(value.number);
  }

  std::vector<uint64_t> numbers(const PickleValue& value, const char* what) const {
    if (value.kind != PickleKind::kTuple) fail(fmt::format("{} is not a tuple", what));
    if (value.items.size() > Shape::kMaxRank) {
      fail(fmt::format("{} has more than {} dimensions", what, Shape::kMaxRank));
    }
    std::vector<uint64_t> found;
    for (PickleId item : value.items) found.push_back(number(pickle_[item], what));
    return found;
  }

  Shape shape(const std::vector<uint64_t>& extents) const {
    uint64_t elements = 1;
    for (size_t i = 0; i < extents.size(); ++i) {
      if (extents[i] > kMaxElements / std::max<uint64_t>(elements, 1)) {
        fail(fmt::format("shape: dimension {} is {}", i, extents[i]));
      }
      elements *= extents[i];
    }
    return Shape(std::vector<int64_t>(extents.begin(), extents.end()));
  }

  void check_contiguous(const std::vector<uint64_t>& extents,
                        const std::vector<uint64_t>& strides) const {
    if (strides.size() != extents.size()) fail("not as many strides as dimensions");
    if (std::ranges::find(extents, 0u) != extents.end()) return;
    uint64_t due = 1;
    for (size_t i = extents.size(); i-- > 0;) {
      if (extents[i] != 1 && strides[i] != due) {
        fail(
            fmt::format("dimension {} has stride {}, where {} is due: not contiguous; save "
                        "tensor.contiguous()",
                        i, strides[i], due));
      }
      due *= extents[i];
    }
  }

  // The seventh argument: what else makes the values (conjugated, negated).
  void check_plain(const PickleValue& call) const {
    if (pickle_[call.items[1]].items.size() < 7) return;
    const PickleValue& metadata = argument(call, 6, 6, 7);
    if (metadata.kind != PickleKind::kNone && !metadata.items.empty()) fail("has metadata");
  }

  // ("storage", its class, its key, the device, its elements).
  Storage parse_storage(const PickleValue& value) const {
    if (value.kind != PickleKind::kPersistent) fail("its storage is not a persistent id");
    const PickleValue& id = pickle_[value.items[0]];
    if (id.kind != PickleKind::kTuple || id.items.size() != 5) fail("its storage's id is not of 5");
    const PickleValue &word = pickle_[id.items[0]], &type = pickle_[id.items[1]],
                      &key = pickle_[id.items[2]];
    if (word.text != "storage" || type.kind != PickleKind::kGlobal ||
        key.kind != PickleKind::kText) {
      fail("its storage's id is not one");
    }
    const std::optional<DType> dtype = torch_storage_dtype(type.text);
    if (!dtype) fail(fmt::format("{} is not a type that is read", type.text));
    const ZipRange* range = archive_.find("data/" + key.text);
    if (range == nullptr) fail(fmt::format("its storage {} is missing", printable(key.text)));
    const uint64_t elements = number(pickle_[id.items[4]], "its storage's size");
    if (range->bytes % dtype_size(*dtype) != 0 || range->bytes / dtype_size(*dtype) != elements) {
      fail(fmt::format("its storage {} has {} bytes, not {} x {}", printable(key.text),
                       range->bytes, elements, dtype_name(*dtype)));
    }
    return {.dtype = *dtype, .range = *range};
  }

  const TorchArchive& archive_;
  const Pickle& pickle_;
  const std::string& path_;
  const std::string& name_;
};

// The dict of tensors: the top, or what is under one of two keys of it.
const PickleValue& state_dict(const Pickle& pickle, const std::string& path) {
  const PickleValue& root = pickle.root();
  if (root.kind != PickleKind::kDict) throw InputError(path + ": holds no dict of tensors");
  for (std::string_view key : {"state_dict", "model"}) {
    for (size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue& value = pickle[root.items[i + 1]];
      if (pickle[root.items[i]].text == key && value.kind == PickleKind::kDict) return value;
    }
  }
  return root;
}

}  // namespace

TorchFile::TorchFile(const std::filesystem::path& path) : TensorFile(path) {
  const std::string file = path.string();
  const TorchArchive archive(file_);
  const Pickle pickle(archive.pickle(), file + ": data.pkl", torch_globals());
  const PickleValue& tensors = state_dict(pickle, file);
  std::set<std::string_view> names;
  for (size_t i = 0; i < tensors.items.size(); i += 2) {
    const PickleValue& name = pickle[tensors.items[i]];
    if (name.kind != PickleKind::kText) throw InputError(file + ": a key is not a string");
    if (!names.insert(name.text).second) {  // before anything of it is copied
      throw InputError(fmt::format("{}: tensor {} appears twice", file, printable(name.text)));
    }
    const TensorParser parser(archive, pickle, file, name.text);
    entries_.push_back(parser.parse(pickle[tensors.items[i + 1]]));
  }
  std::ranges::sort(entries_, {}, &TensorEntry::name);
}

}  // namespace octet
