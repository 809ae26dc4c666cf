#include "runtime/weights/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/request/error.h"
#include "runtime/weights/artefact_checkpoint.h"
#include "runtime/weights/folder_checkpoint.h"
#include "runtime/weights/gguf_checkpoint.h"

namespace octet {
namespace fs = std::filesystem;

std::unique_ptr<Checkpoint> Checkpoint::open(const fs::path& path) {
  try {
    if (!fs::exists(path)) {
      throw InputError(fmt::format("{}: no such file or folder", path.string()),
                       ErrorCode::kNotFound);
    }
    if (!fs::is_directory(path)) return std::make_unique<GgufCheckpoint>(path);
    if (fs::exists(path / kArtefactManifest)) return std::make_unique<ArtefactCheckpoint>(path);
    return std::make_unique<FolderCheckpoint>(path);
  } catch (const fs::filesystem_error& error) {
    throw InputError(fmt::format("{}: {}", path.string(), error.code().message()));
  }
}

const TensorInfo* Checkpoint::find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(tensors(), name, {}, &TensorInfo::name);
  return found != tensors().end() && found->name == name ? &*found : nullptr;
}

}  // namespace octet
