#include "runtime/weights/quantizer.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/formats/safetensors_file.h"
#include "runtime/formats/safetensors_folder.h"
#include "runtime/request/error.h"
#include "runtime/weights/artefact_manifest.h"
#include "runtime/weights/equalized_checkpoint.h"
#include "runtime/weights/hash.h"
#include "runtime/weights/partial_folder.h"
#include "runtime/weights/quantize_plan.h"
#include "runtime/weights/quantize_tensor.h"

namespace octet {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

// Names the job: the same source, unchanged, cut the same way.
std::string job_of(const Checkpoint& source, const ArtefactPlan& plan, bool equalize) {
  json job = {{"version", kArtefactVersion},
              {"equalize", equalize},
              {"source", fs::weakly_canonical(source.path()).string()}};
  std::vector<json> files;
  const auto add_file = [&](const fs::path& path) {
    const auto changed = fs::last_write_time(path).time_since_epoch().count();
    files.push_back({path.filename().string(), fs::file_size(path), changed});
  };
  if (fs::is_directory(source.path())) {
    for (const auto& item : fs::directory_iterator(source.path())) {
      if (item.is_regular_file()) add_file(item.path());
    }
  } else if (source.kind() != CheckpointKind::kDummy) {
    add_file(source.path());
  }
  std::ranges::sort(files);
  job["files"] = files;
  for (const PlannedFile& file : plan.files) {
    for (const PlannedTensor& tensor : file.tensors) {
      job["tensors"].push_back(
          {file.name, tensor.name(), tensor.axis, tensor.cuts, tensor.blocks.has_value()});
    }
  }
  const std::string text = job.dump();
  return hash_text(hash_bytes(std::as_bytes(std::span(text))));
}

// What an earlier run has written needs no room any more; its files may have holes.
void check_room(const fs::path& folder, uint64_t bytes) {
  constexpr uint64_t kStatUnit = 512;
  uint64_t there = 0;
  for (const auto& item : fs::directory_iterator(folder)) {
    struct stat info {};
    if (::stat(item.path().c_str(), &info) == 0) {
      there += static_cast<uint64_t>(info.st_blocks) * kStatUnit;
    }
  }
  const uint64_t needed = bytes - std::min(bytes, there);
  const uint64_t room = fs::space(folder).available;
  if (room < needed) {
    throw InputError(
        fmt::format("{}: {} bytes are needed, {} are free", folder.string(), needed, room),
        ErrorCode::kResourceExhausted);
  }
}

uint64_t hash_file(const fs::path& path, uint64_t bytes) {
  const std::string text = read_text_file(path, bytes);
  return hash_bytes(std::as_bytes(std::span(text)));
}

class ArtefactWriter {
 public:
  ArtefactWriter(const Checkpoint& source, const QuantizeOptions& options, PartialFolder& folder,
                 const ArtefactPlan& plan)
      : source_(source), options_(options), folder_(folder), plan_(plan) {}

  QuantizeReport run(const Partition& partition) {
    manifest_.reduction_shards = partition.num_shards();
    for (const PlannedFile& file : plan_.files) write_file(file);
    write_index();
    source_.copy_companions(folder_.path());
    add_companions();
    const std::string text = manifest_text(manifest_);
    write_text_file(folder_.path() / kArtefactManifest, text);
    folder_.publish();
    report_.bytes_in = plan_.bytes_in;
    report_.bytes_of_blocks = plan_.bytes_of_blocks;
    report_.bytes_out += text.size();
    for (const auto& [name, file] : manifest_.files) report_.bytes_out += file.bytes;
    return report_;
  }

 private:
  // One file of the artefact, and what an earlier run left of it.
  struct Written {
    Written(const PartialFolder& folder, const std::string& name,
            std::span<const SafetensorsSpec> specs)
        : writer(folder.path() / name, specs, folder.resumed()) {
      if (folder.resumed()) earlier.emplace(folder.path() / name);
    }
    SafetensorsWriter writer;
    std::optional<SafetensorsFile> earlier;
  };

  void close(const std::string& name, std::span<const SafetensorsSpec> specs, Written& file) {
    file.writer.sync();
    const std::string header = safetensors_header(specs);
    manifest_.files[name] = {.bytes = file.writer.size(),
                             .hash = hash_bytes(std::as_bytes(std::span(header)))};
  }

  void write_file(const PlannedFile& file) {
    Written weights(folder_, file.name, file.specs);
    std::optional<Written> blocks;
    if (!file.blocks.empty()) blocks.emplace(folder_, file.blocks_name, file.blocks);
    for (const PlannedTensor& tensor : file.tensors) {
      // What an earlier run finished counts when it is on the disk as the journal says.
      const PartialFolder::Hashes* finished = folder_.finished(tensor.name());
      if (finished != nullptr &&
          stored_hashes(*weights.earlier, blocks ? &*blocks->earlier : nullptr, tensor) ==
              *finished) {
        ++report_.resumed;
        add_tensor(file, tensor, *finished);
        continue;
      }
      const PartialFolder::Hashes hashes =
          quantize_tensor(source_, tensor, weights.writer, blocks ? &blocks->writer : nullptr);
      folder_.finish(tensor.name(), hashes);
      add_tensor(file, tensor, hashes);
    }
    close(file.name, file.specs, weights);
    if (blocks) close(file.blocks_name, file.blocks, *blocks);
  }

  void add_tensor(const PlannedFile& file, const PlannedTensor& tensor,
                  const PartialFolder::Hashes& hashes) {
    manifest_.tensors[tensor.name()] = {.file = file.name,
                                        .axis = tensor.axis,
                                        .cuts = tensor.cuts,
                                        .hashes = hashes.at(tensor.name())};
    if (tensor.dtype == DType::kI8) {
      manifest_.tensors[tensor.scale_name()] = {.file = file.name,
                                                .axis = 0,
                                                .cuts = tensor.scale_cuts,
                                                .hashes = hashes.at(tensor.scale_name())};
      ++report_.quantized;
    }
    if (tensor.blocks) {
      manifest_.blocks[tensor.name()] = {.file = file.blocks_name,
                                         .axis = tensor.axis,
                                         .cuts = tensor.blocks->cuts,
                                         .hashes = hashes.at(tensor.blocks_name())};
    }
    ++report_.tensors;
    done_ += tensor.bytes_in();
    if (options_.progress) options_.progress(tensor.name(), done_, plan_.bytes_in);
  }

  void write_index() {
    json map = json::object();
    for (const PlannedFile& file : plan_.files) {
      for (const SafetensorsSpec& spec : file.specs) map[spec.name] = file.name;
    }
    const json index = {{"metadata", {{"total_size", plan_.bytes_out}}}, {"weight_map", map}};
    write_text_file(folder_.path() / kSafetensorsIndex, index.dump(1) + "\n");
  }

  void add_companions() {
    for (const auto& item : fs::directory_iterator(folder_.path())) {
      const std::string name = item.path().filename().string();
      if (name.starts_with(".") || manifest_.files.contains(name)) continue;
      const uint64_t bytes = item.file_size();
      manifest_.files[name] = {.bytes = bytes, .hash = hash_file(item.path(), bytes)};
    }
  }

  const Checkpoint& source_;
  const QuantizeOptions& options_;
  PartialFolder& folder_;
  const ArtefactPlan& plan_;
  ArtefactManifest manifest_;
  QuantizeReport report_;
  uint64_t done_ = 0;
};

// A folder that another run left may hold more than this one will write: only its shards and
// journal are kept.
void remove_strangers(const PartialFolder& folder, const ArtefactPlan& plan) {
  for (const auto& item : fs::directory_iterator(folder.path())) {
    const std::string name = item.path().filename().string();
    const bool wanted = std::ranges::any_of(plan.files, [&](const PlannedFile& file) {
      return name == file.name || name == file.blocks_name;
    });
    if (!wanted && !name.starts_with(".")) fs::remove_all(item.path());
  }
}

}  // namespace

QuantizeReport quantize_checkpoint(const Checkpoint& source, const Partition& partition,
                                   const fs::path& out, const QuantizeOptions& options) {
  try {
    const EqualizedCheckpoint equalized(source, partition.args());
    const Checkpoint& chosen =
        options.equalize ? static_cast<const Checkpoint&>(equalized) : source;
    const ArtefactPlan plan = plan_artefact(chosen, partition, options);
    fs::path target = out.has_filename() ? out : out.parent_path();  // "out/" is "out"
    PartialFolder folder(target, job_of(chosen, plan, options.equalize));
    remove_strangers(folder, plan);
    check_room(folder.path(), plan.bytes_out + plan.bytes_of_blocks);
    return ArtefactWriter(chosen, options, folder, plan).run(partition);
  } catch (const fs::filesystem_error& error) {
    throw InputError(fmt::format("{}: {}", error.path1().string(), error.code().message()));
  }
}

}  // namespace octet
