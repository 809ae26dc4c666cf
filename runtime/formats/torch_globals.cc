#include "runtime/formats/torch_globals.h"

#include <algorithm>
#include <iterator>

namespace octet {
namespace {

constexpr std::string_view kGlobals[] = {
    "collections.OrderedDict",
    kRebuildTensor,
    kRebuildParameter,
    "torch.FloatStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.IntStorage",
    "torch.LongStorage",
    "torch.storage.UntypedStorage",
    // Not in DType: named here so that the tensor is named, not the class.
    "torch.DoubleStorage",
    "torch.ShortStorage",
    "torch.BoolStorage",
    "torch.ComplexFloatStorage",
    "torch.ComplexDoubleStorage",
};

constexpr struct {
  std::string_view global;
  DType dtype;
} kStorages[] = {
    {"torch.FloatStorage", DType::kF32},     {"torch.HalfStorage", DType::kF16},
    {"torch.BFloat16Storage", DType::kBF16}, {"torch.CharStorage", DType::kI8},
    {"torch.ByteStorage", DType::kU8},       {"torch.IntStorage", DType::kI32},
    {"torch.LongStorage", DType::kI64},      {"torch.storage.UntypedStorage", DType::kU8},
};

}  // namespace

std::span<const std::string_view> torch_globals() { return kGlobals; }

std::optional<DType> torch_storage_dtype(std::string_view global) {
  const auto* found =
      std::ranges::find(kStorages, global, [](const auto& row) { return row.global; });
  if (found == std::end(kStorages)) return std::nullopt;
  return found->dtype;
}

}  // namespace octet
