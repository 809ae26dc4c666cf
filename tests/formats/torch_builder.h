// Files as torch.save writes them: a pickle of protocol 2 and storages, in a ZIP archive.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/tensor.h"
#include "tests/formats/zip_builder.h"

namespace octet {

// Pieces of a pickle.
inline std::string pickled(std::string_view text) {
  std::string bytes = "X";
  put(bytes, static_cast<uint32_t>(text.size()));
  return bytes.append(text);
}
inline std::string pickled(int64_t number) {
  std::string bytes = "\x8a\x08";
  put(bytes, number);
  return bytes;
}
inline std::string pickled_tuple(const std::vector<std::string>& items) {
  std::string bytes = "(";
  for (const std::string& item : items) bytes += item;
  return bytes + "t";
}
inline std::string pickled_global(std::string_view module, std::string_view name) {
  return fmt::format("c{}\n{}\n", module, name);
}
inline std::string pickled_call(std::string_view module, std::string_view name,
                                const std::vector<std::string>& arguments) {
  return pickled_global(module, name) + pickled_tuple(arguments) + "R";
}
inline std::string pickled_dict(const std::string& items) { return "}(" + items + "u"; }

struct TorchTensor {
  std::string name;
  std::string storage_class = "FloatStorage";
  std::string key = "0";  // of the storage
  int64_t elements = 0;   // of the storage
  int64_t offset = 0;
  std::vector<int64_t> shape, strides;

  std::string pickle() const {
    const std::string storage =
        pickled_tuple({pickled("storage"), pickled_global("torch", storage_class), pickled(key),
                       pickled("cpu"), pickled(elements)});
    const std::string hooks = pickled_call("collections", "OrderedDict", {});
    return pickled_call(
        "torch._utils", "_rebuild_tensor_v2",
        {storage + "Q", pickled(offset), tuple(shape), tuple(strides), "\x89", hooks});
  }

 private:
  static std::string tuple(const std::vector<int64_t>& numbers) {
    std::vector<std::string> items;
    for (int64_t number : numbers) items.push_back(pickled(number));
    return pickled_tuple(items);
  }
};

// The whole file around one pickled object.
inline ZipBuilder torch_archive(const std::string& object,
                                const std::vector<std::string>& storages) {
  ZipBuilder zip;
  zip.add("model/data.pkl", "\x80\x02" + object + ".");
  zip.add("model/byteorder", "little");
  for (size_t i = 0; i < storages.size(); ++i) {
    zip.add(fmt::format("model/data/{}", i), storages[i]);
  }
  zip.add("model/version", "3\n");
  return zip;
}

// A file of contiguous tensors, with a storage each.
class TorchBuilder {
 public:
  void tensor(const std::string& name, DType dtype, const Shape& shape, std::string data) {
    TorchTensor tensor{.name = name, .storage_class = storage_class(dtype)};
    tensor.key = std::to_string(storages_.size());
    tensor.elements = shape.numel();
    int64_t stride = shape.numel();
    for (int i = 0; i < shape.rank(); ++i) {
      tensor.shape.push_back(shape[i]);
      stride /= shape[i] == 0 ? 1 : shape[i];
      tensor.strides.push_back(stride);
    }
    items_ += pickled(name) + tensor.pickle();
    storages_.push_back(std::move(data));
  }
  std::string build() const { return torch_archive(pickled_dict(items_), storages_).build(); }

 private:
  static std::string storage_class(DType dtype) {
    switch (dtype) {
      case DType::kF32:
        return "FloatStorage";
      case DType::kF16:
        return "HalfStorage";
      case DType::kBF16:
        return "BFloat16Storage";
      case DType::kI8:
        return "CharStorage";
      case DType::kU8:
        return "ByteStorage";
      case DType::kI32:
        return "IntStorage";
      case DType::kI64:
        return "LongStorage";
    }
    return "";
  }

  std::string items_;
  std::vector<std::string> storages_;
};

}  // namespace octet
