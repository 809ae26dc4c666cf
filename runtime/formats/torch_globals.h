// The globals that a file of tensors by torch.save may name, and what its storages hold.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "kernels/dtype.h"

namespace octet {

inline constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
inline constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";

std::span<const std::string_view> torch_globals();

// nullopt: not a storage, or of a type that DType lacks.
std::optional<DType> torch_storage_dtype(std::string_view global);

}  // namespace octet
