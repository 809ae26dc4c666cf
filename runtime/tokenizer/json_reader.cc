#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/formats/json_text.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/readers.h"

namespace octet {
namespace {

using nlohmann::json;

// Every component is understood or refused by name; nothing is passed over.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : path_(path.string()), root_(read_json_file(path)) {}

  BpeModel read() {
    if (!root_.is_object()) fail("the file", "is not a JSON object");
    const json& model = section(root_, "model");
    const std::string type = model.value("type", "BPE");
    if (type != "BPE") fail("model.type", fmt::format("is \"{}\"; known: BPE", type));
    model_.scheme =
        model.value("byte_fallback", false) ? BpeScheme::kByteFallback : BpeScheme::kByteLevel;
    model_.whole_words = model.value("ignore_merges", false);
    read_pieces(section(model, "vocab"));
    read_merges(section(model, "merges"));
    if (model.contains("unk_token") && model["unk_token"].is_string()) {
      model_.unknown = model_.vocabulary.find(model["unk_token"].get<std::string>());
    }
    read_added();
    read_normalizer(root_.value("normalizer", json()));
    read_pre_tokenizer(root_.value("pre_tokenizer", json()));
    read_post_processor(root_.value("post_processor", json()));
    return std::move(model_);
  }

 private:
  [[noreturn]] void fail(const std::string& field, const std::string& what) const {
    throw InputError(fmt::format("{}: {} {}", path_, field, what));
  }

  const json& section(const json& object, const char* name) const {
    const auto place = object.find(name);
    if (place == object.end()) fail(name, "is missing");
    return *place;
  }

  static std::string type_of(const json& component) {
    return component.is_object() ? component.value("type", "") : "";
  }

  void set_piece(const std::string& piece, int64_t id, const char* field) {
    constexpr int64_t kMostIds = 1 << 22;
    Vocabulary& vocabulary = model_.vocabulary;
    if (id < 0 || id >= kMostIds) fail(field, fmt::format("gives \"{}\" the id {}", piece, id));
    if (id >= static_cast<int64_t>(vocabulary.pieces.size())) {
      vocabulary.pieces.resize(id + 1);
      vocabulary.special.resize(id + 1, false);
    }
    if (!vocabulary.pieces[id].empty() && vocabulary.pieces[id] != piece) {
      fail(field, fmt::format("gives the id {} to \"{}\" and to \"{}\"", id, vocabulary.pieces[id],
                              piece));
    }
    vocabulary.pieces[id] = piece;
    vocabulary.ids.insert_or_assign(piece, static_cast<int32_t>(id));
  }

  void read_pieces(const json& vocab) {
    if (!vocab.is_object() || vocab.empty())
      fail("model.vocab", "is not an object of pieces and ids");
    for (const auto& [piece, id] : vocab.items()) {
      if (!id.is_number_integer())
        fail("model.vocab", fmt::format("gives \"{}\" an id that is no integer", piece));
      set_piece(piece, id.get<int64_t>(), "model.vocab");
    }
  }

  void read_merges(const json& merges) {
    if (!merges.is_array()) fail("model.merges", "is not an array");
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const json& entry = merges[rank];
      std::string left, right;
      if (entry.is_string()) {
        const std::string text = entry.get<std::string>();
        const size_t space = text.find(' ', 1);
        if (space == text.npos)
          fail("model.merges", fmt::format("entry {} is not two pieces", rank));
        left = text.substr(0, space);
        right = text.substr(space + 1);
      } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                 entry[1].is_string()) {
        left = entry[0].get<std::string>();
        right = entry[1].get<std::string>();
      } else {
        fail("model.merges", fmt::format("entry {} is not two pieces", rank));
      }
      const auto a = model_.vocabulary.find(left), b = model_.vocabulary.find(right);
      const auto both = model_.vocabulary.find(left + right);
      if (!a || !b || !both) {
        fail("model.merges",
             fmt::format("entry {} (\"{}\", \"{}\") is not of two pieces that make a piece", rank,
                         left, right));
      }
      model_.merges.emplace(static_cast<uint64_t>(*a) << 32 | static_cast<uint32_t>(*b),
                            BpeMerge{static_cast<double>(rank), *both});
    }
  }

  void read_added() {
    for (const json& token : root_.value("added_tokens", json::array())) {
      if (!token.is_object() || !token.contains("id") || !token["id"].is_number_integer() ||
          !token.contains("content") || !token["content"].is_string()) {
        fail("added_tokens", "has an entry without id and content");
      }
      const auto text = token["content"].get<std::string>();
      const auto id = token["id"].get<int64_t>();
      set_piece(text, id, "added_tokens");
      const bool special = token.value("special", false);
      model_.vocabulary.special[id] = special;
      model_.vocabulary.added.push_back({.text = text,
                                         .id = static_cast<int32_t>(id),
                                         .special = special,
                                         .lstrip = token.value("lstrip", false),
                                         .rstrip = token.value("rstrip", false)});
    }
  }

  void read_normalizer(const json& normalizer) {
    const std::string type = type_of(normalizer);
    if (normalizer.is_null()) return;
    if (type == "Sequence") {
      for (const json& part : section(normalizer, "normalizers")) read_normalizer(part);
    } else if (type == "NFC") {
      model_.form = UnicodeForm::kNfc;
    } else if (type == "NFKC") {
      model_.form = UnicodeForm::kNfkc;
    } else if (type == "Prepend" && model_.scheme == BpeScheme::kByteFallback) {
      model_.space_prefix = true;
    } else if (type == "Replace" && model_.scheme == BpeScheme::kByteFallback &&
               normalizer["pattern"].value("String", "") == " ") {
      // the space's stand-in, which the scheme implies
    } else {
      fail("normalizer", fmt::format("\"{}\" is not understood", type));
    }
  }

  void read_pre_tokenizer(const json& part) {
    const std::string type = type_of(part);
    if (part.is_null()) {
      if (model_.scheme == BpeScheme::kByteLevel)
        fail("pre_tokenizer", "is missing, and the model has no byte_fallback");
    } else if (type == "Sequence") {
      for (const json& inner : section(part, "pretokenizers")) read_pre_tokenizer(inner);
    } else if (type == "ByteLevel") {
      model_.space_prefix = part.value("add_prefix_space", true);
      if (part.value("use_regex", true)) {
        model_.pre_tokenizer.add(Splitter(kGpt2Pattern, Splitter::Kind::kIsolated));
      }
    } else if (type == "Digits") {
      model_.pre_tokenizer.add(
          Splitter(part.value("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)",
                   Splitter::Kind::kIsolated));
    } else if (type == "Split") {
      add_split(part);
    } else if (type == "Metaspace" && model_.scheme == BpeScheme::kByteFallback) {
      model_.space_prefix = part.value("prepend_scheme", "always") != "never";
    } else {
      fail("pre_tokenizer", fmt::format("\"{}\" is not understood", type));
    }
  }

  void add_split(const json& part) {
    const json& pattern = section(part, "pattern");
    const std::string behavior = part.value("behavior", "");
    const bool literal = pattern.contains("String");
    if (part.value("invert", false) || (!literal && !pattern.contains("Regex"))) {
      fail("pre_tokenizer", "\"Split\" is inverted or has neither String nor Regex");
    }
    using Kind = Splitter::Kind;
    Kind kind = Kind::kIsolated;
    if (behavior == "Removed") {
      kind = Kind::kRemoved;
    } else if (behavior == "MergedWithPrevious") {
      kind = Kind::kMergedPrevious;
    } else if (behavior == "MergedWithNext") {
      kind = Kind::kMergedNext;
    } else if (behavior != "Isolated") {
      fail("pre_tokenizer", fmt::format("\"Split\" has the behavior \"{}\"", behavior));
    }
    model_.pre_tokenizer.add(
        Splitter(pattern[literal ? "String" : "Regex"].get<std::string>(), kind, literal));
  }

  void read_post_processor(const json& part) {
    const std::string type = type_of(part);
    if (part.is_null() || type == "ByteLevel") return;
    if (type == "Sequence") {
      for (const json& inner : section(part, "processors")) read_post_processor(inner);
      return;
    }
    if (type != "TemplateProcessing")
      fail("post_processor", fmt::format("\"{}\" is not understood", type));
    bool before = true;
    for (const json& piece : section(part, "single")) {
      if (piece.contains("Sequence")) {
        before = false;
        continue;
      }
      const std::string name = section(piece, "SpecialToken").value("id", "");
      const auto id = model_.vocabulary.find(name);
      if (!id) fail("post_processor", fmt::format("names \"{}\", which is not a piece", name));
      (before ? model_.vocabulary.prefix : model_.vocabulary.suffix).push_back(*id);
    }
  }

  const std::string path_;
  const json root_;
  BpeModel model_;
};

}  // namespace

BpeModel read_json_vocabulary(const std::filesystem::path& file) {
  try {
    return Reader(file).read();
  } catch (const json::exception& wrong) {
    throw InputError(
        fmt::format("{}: a field has the wrong type ({})", file.string(), wrong.what()));
  }
}

}  // namespace octet
