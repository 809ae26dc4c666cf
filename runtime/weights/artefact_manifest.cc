#include "runtime/weights/artefact_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "kernels/reduction_tree.h"
#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/formats/safetensors_folder.h"
#include "runtime/request/error.h"
#include "runtime/weights/hash.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr std::string_view kNoHash = "0000000000000000";
constexpr std::string_view kEnd = "\"}\n";

uint64_t hash_of(std::string_view text) { return hash_bytes(std::as_bytes(std::span(text))); }

// Reads fields of one JSON object; `what` is the object's place in the messages.
class Object {
 public:
  Object(const json& value, std::string what) : value_(value), what_(std::move(what)) {
    if (!value.is_object()) throw InputError(what_ + ": not an object");
  }

  [[noreturn]] void fail(const char* key, const char* why) const {
    throw InputError(fmt::format("{}: {} {}", what_, key, why));
  }
  const json& field(const char* key) const {
    const auto found = value_.find(key);
    if (found == value_.end()) fail(key, "is missing");
    return *found;
  }
  uint64_t number(const char* key, uint64_t max) const {
    const json& value = field(key);
    if (!value.is_number_unsigned() || value.get<uint64_t>() > max) {
      fail(key, "is not an integer in its range");
    }
    return value.get<uint64_t>();
  }
  std::string string(const char* key) const {
    const json& value = field(key);
    if (!value.is_string()) fail(key, "is not a string");
    return value.get<std::string>();
  }
  uint64_t hash(const char* key, const json& value) const {
    const auto hash =
        value.is_string() ? hash_from_text(value.get_ref<const std::string&>()) : std::nullopt;
    if (!hash) fail(key, "is not a hash of 16 hex digits");
    return *hash;
  }
  std::string file_name(const char* key) const {
    std::string name = string(key);
    if (!is_plain_file_name(name)) fail(key, "is not the name of a file of this folder");
    return name;
  }

 private:
  const json& value_;
  std::string what_;
};

ArtefactTensor parse_tensor(const Object& object) {
  ArtefactTensor tensor{.file = object.file_name("file"),
                        .axis = static_cast<int>(object.number("axis", 1)),
                        .cuts = {},
                        .hashes = {}};
  const json& cuts = object.field("cuts");
  const json& hashes = object.field("xxh3");
  if (!cuts.is_array() || cuts.size() < 2 ||
      !std::ranges::all_of(cuts, &json::is_number_unsigned)) {
    object.fail("cuts", "are not a list of at least two integers");
  }
  tensor.cuts = cuts.get<std::vector<int64_t>>();
  if (tensor.cuts[0] != 0 ||
      std::ranges::adjacent_find(tensor.cuts, std::greater_equal()) != tensor.cuts.end()) {
    object.fail("cuts", "do not rise from 0");
  }
  if (!hashes.is_array() || hashes.size() != cuts.size() - 1) {
    object.fail("xxh3", "is not a list with one hash a part");
  }
  for (const json& hash : hashes) tensor.hashes.push_back(object.hash("xxh3", hash));
  return tensor;
}

using Tensors = std::map<std::string, ArtefactTensor, std::less<>>;

json tensors_json(const Tensors& tensors) {
  json all = json::object();
  for (const auto& [name, tensor] : tensors) {
    json hashes = json::array();
    for (uint64_t hash : tensor.hashes) hashes.push_back(hash_text(hash));
    all[name] = {
        {"file", tensor.file}, {"axis", tensor.axis}, {"cuts", tensor.cuts}, {"xxh3", hashes}};
  }
  return all;
}

Tensors parse_tensors(const Object& top, const char* key, const std::string& source) {
  Tensors tensors;
  const json& all = top.field(key);
  const Object object(all, fmt::format("{}: {}", source, key));
  for (const auto& [name, value] : all.items()) {
    tensors[name] =
        parse_tensor(Object(value, fmt::format("{}: {} {}", source, key, printable(name))));
  }
  return tensors;
}

void require_version(const json& all, const std::string& source) {
  if (!all.is_object() || !all.contains("version") || all["version"] == kArtefactVersion) return;
  throw InputError(fmt::format("{}: version {}; {} is known: quantize it again", source,
                               all["version"].dump(), kArtefactVersion));
}

}  // namespace

std::string manifest_text(const ArtefactManifest& manifest) {
  json files = json::object();
  for (const auto& [name, file] : manifest.files) {
    files[name] = {{"bytes", file.bytes}, {"xxh3", hash_text(file.hash)}};
  }
  const json all = {{"format", "octet"},
                    {"version", kArtefactVersion},
                    {"quantization", kQuantization},
                    {"reduction_shards", manifest.reduction_shards},
                    {"files", files},
                    {"tensors", tensors_json(manifest.tensors)},
                    {"blocks", tensors_json(manifest.blocks)},
                    {"xxh3", kNoHash}};
  return with_own_hash(without_own_hash(all.dump() + "\n"));  // keys in order: the hash is last
}

std::string with_own_hash(const std::string& body) {
  return fmt::format("{}{}{}", body, hash_text(hash_of(body)), kEnd);
}

std::string without_own_hash(const std::string& text) {
  return text.substr(0, text.size() - std::min(text.size(), kNoHash.size() + kEnd.size()));
}

ArtefactManifest parse_manifest(const std::string& text, const std::string& source) {
  if (with_own_hash(without_own_hash(text)) != text) {
    // Another version's checksum is another.
    require_version(json::parse(text, nullptr, false), source);
    throw InputError(source + ": its own checksum does not match: the file is damaged");
  }
  const json all = parse_json(text, source);
  const Object top(all, source);
  if (top.string("format") != "octet") top.fail("format", "is not octet");
  require_version(all, source);
  if (top.string("quantization") != kQuantization) {
    top.fail("quantization", "is not known");
  }
  ArtefactManifest manifest;
  manifest.reduction_shards = static_cast<int>(top.number("reduction_shards", kMaxShards));
  if (manifest.reduction_shards == 0) top.fail("reduction_shards", "is 0");
  const Object files(top.field("files"), source + ": files");
  for (const auto& [name, value] : top.field("files").items()) {
    const Object file(value, fmt::format("{}: file {}", source, printable(name)));
    if (!is_plain_file_name(name)) file.fail("name", "is not that of a file of this folder");
    manifest.files[name] = {.bytes = file.number("bytes", INT64_MAX),
                            .hash = file.hash("xxh3", file.field("xxh3"))};
  }
  manifest.tensors = parse_tensors(top, "tensors", source);
  manifest.blocks = parse_tensors(top, "blocks", source);
  return manifest;
}

std::optional<PartRange> find_parts(const std::vector<int64_t>& cuts, int64_t from, int64_t to) {
  const auto begin = std::ranges::lower_bound(cuts, from);
  const auto end = std::ranges::lower_bound(cuts, to);
  if (end == cuts.end() || *begin != from || *end != to) return std::nullopt;
  return PartRange{static_cast<size_t>(begin - cuts.begin()),
                   static_cast<size_t>(end - cuts.begin())};
}

void require_hashes(const std::filesystem::path& file, std::string_view name,
                    const ArtefactTensor& tensor, size_t part_begin,
                    std::span<const uint64_t> hashes) {
  for (size_t i = 0; i < hashes.size(); ++i) {
    const uint64_t expected = tensor.hashes[part_begin + i];
    if (hashes[i] == expected) continue;
    throw InputError(fmt::format("{}: tensor {}: part {} of {}: checksum {}; {} says {}",
                                 file.string(), printable(name), part_begin + i,
                                 tensor.hashes.size(), hash_text(hashes[i]), kArtefactManifest,
                                 hash_text(expected)));
  }
}

}  // namespace octet
