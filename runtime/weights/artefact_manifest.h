// octet.json: what an artefact's files and tensors must be, to the bit. Plain data and its text.
//
// The text ends in a hash of all that is before it, so a change of any byte shows. Format:
// docs/artefact.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

inline constexpr const char* kArtefactManifest = "octet.json";
inline constexpr int kArtefactVersion = 2;
inline constexpr std::string_view kQuantization = "int8, symmetric per output channel";

struct ArtefactFile {
  uint64_t bytes = 0;
  uint64_t hash = 0;  // of the whole file; of a .safetensors file: of its header
};

struct ArtefactTensor {
  std::string file;
  int axis = 0;
  std::vector<int64_t> cuts;     // part i is [cuts[i], cuts[i + 1]) along axis
  std::vector<uint64_t> hashes;  // of each part
};

struct ArtefactManifest {
  int reduction_shards = 0;
  std::map<std::string, ArtefactFile> files;  // all but octet.json
  std::map<std::string, ArtefactTensor, std::less<>> tensors;
  // Of weights: the same in blocks (kernels/weight_blocks.h), [blocks, columns of a block], in the
  // file under NAME_blocks; axis and cuts are of that shape.
  std::map<std::string, ArtefactTensor, std::less<>> blocks;
};

std::string manifest_text(const ArtefactManifest& manifest);

// The text's frame: its own hash, 16 hex digits of all that is before them, is put at the end, or
// taken away.
std::string with_own_hash(const std::string& body);
std::string without_own_hash(const std::string& text);

// Throws InputError naming `source`: not what manifest_text() writes, another version, cuts that do
// not rise from 0.
ArtefactManifest parse_manifest(const std::string& text, const std::string& source);

// Parts [begin, end) of a tensor, which are [from, to) along its axis; nullopt: not whole parts.
struct PartRange {
  size_t begin = 0, end = 0;
};
std::optional<PartRange> find_parts(const std::vector<int64_t>& cuts, int64_t from, int64_t to);

// Throws InputError naming file, tensor and part where these, of its parts from part_begin on, are
// not the tensor's.
void require_hashes(const std::filesystem::path& file, std::string_view name,
                    const ArtefactTensor& tensor, size_t part_begin,
                    std::span<const uint64_t> hashes);

}  // namespace octet
