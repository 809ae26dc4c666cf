#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "runtime/formats/printable.h"
#include "runtime/tokenizer/bpe_model.h"
#include "runtime/tokenizer/json_stages.h"
#include "runtime/tokenizer/unigram_model.h"

namespace octet {
namespace {

using nlohmann::json;

MergeTable merges_of(JsonPart& part, const PieceIds& ids) {
  MergeTable merges;
  const json& entries = part.value("merges");
  if (!entries.is_array()) part.fail_field("merges", "is no array");
  const std::string where = part.where() + ".merges";
  for (size_t i = 0; i < entries.size(); ++i) {
    const json& entry = entries[i];
    if (entry.is_string()) {
      merges.add(ids, entry.get_ref<const std::string&>(), where);
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.add(ids, entry[0].get_ref<const std::string&>(),
                 entry[1].get_ref<const std::string&>(), where);
    } else {
      part.fail_field("merges", fmt::format("entry {} is not two pieces", i));
    }
  }
  return merges;
}

std::unique_ptr<Model> read_bpe(JsonPart& part, Vocabulary& vocabulary) {
  const json& vocab = part.value("vocab");
  if (!vocab.is_object() || vocab.empty()) {
    part.fail_field("vocab", "is not an object of pieces and ids");
  }
  for (const auto& [piece, id] : vocab.items()) {
    if (!id.is_number_integer()) {
      part.fail_field("vocab", fmt::format("gives {} an id that is no integer", printable(piece)));
    }
    vocabulary.set_piece(piece, id.get<int64_t>(), part.where() + ".vocab");
  }
  BpeOptions options{.whole_words = part.flag("ignore_merges", false),
                     .byte_fallback = part.flag("byte_fallback", false),
                     .fuse_unknown = part.flag("fuse_unk", false)};
  if (part.has("unk_token")) {
    options.unknown = vocabulary.find(part.text("unk_token"));
    if (!options.unknown) part.fail_field("unk_token", "is not a piece");
  }
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!part.text(affix, "").empty()) part.fail_field(affix, "is not empty");
  }
  if (part.has("dropout") && part.value("dropout") != 0) {
    part.fail_field("dropout", "is not 0: the ids would be random");
  }
  MergeTable merges = merges_of(part, vocabulary.ids);
  return std::make_unique<BpeModel>(vocabulary.ids, std::move(merges), options);
}

std::unique_ptr<Model> read_unigram(JsonPart& part, Vocabulary& vocabulary) {
  constexpr double kUnknownPenalty = 10;
  const json& vocab = part.value("vocab");
  if (!vocab.is_array() || vocab.empty()) {
    part.fail_field("vocab", "is not an array of pieces and scores");
  }
  UnigramPieces pieces;
  double lowest = std::numeric_limits<double>::infinity();
  for (const json& entry : vocab) {
    const size_t id = pieces.scores.size();
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number()) {
      part.fail_field("vocab", fmt::format("entry {} is not a piece and its score", id));
    }
    vocabulary.set_piece(entry[0].get<std::string>(), static_cast<int64_t>(id),
                         part.where() + ".vocab");
    pieces.scores.push_back(entry[1].get<double>());
    lowest = std::min(lowest, pieces.scores.back());
  }
  const int64_t unknown = part.integer("unk_id");
  if (unknown < 0 || unknown >= static_cast<int64_t>(pieces.scores.size())) {
    part.fail_field("unk_id", fmt::format("is {}, the vocabulary has {}", unknown, vocab.size()));
  }
  pieces.ids = vocabulary.ids;
  pieces.unknown = static_cast<int32_t>(unknown);
  pieces.unknown_score = lowest - kUnknownPenalty;
  pieces.byte_fallback = part.flag("byte_fallback", false);
  return std::make_unique<UnigramModel>(std::move(pieces), vocabulary.ids);
}

}  // namespace

std::unique_ptr<Model> read_json_model(JsonPart part, Vocabulary& vocabulary) {
  // Files from before the field existed are BPE's where they have merges.
  const std::string type = part.text("type", part.has("merges") ? "BPE" : "Unigram");
  std::unique_ptr<Model> model;
  if (type == "BPE") {
    model = read_bpe(part, vocabulary);
  } else if (type == "Unigram") {
    model = read_unigram(part, vocabulary);
  } else {
    part.fail_field("type", fmt::format("is {}; known: BPE, Unigram", printable(type)));
  }
  part.done();
  return model;
}

}  // namespace octet
