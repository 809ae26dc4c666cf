#include <fmt/format.h>

#include "runtime/formats/gguf_file.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/bpe_model.h"
#include "runtime/tokenizer/readers.h"

namespace octet {
namespace {

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(path) {}

  Pipeline read() {
    read_pieces();
    const auto scheme = file_.get<std::string>("tokenizer.ggml.model");
    if (scheme == "gpt2") {
      read_byte_level();
    } else if (scheme == "llama") {
      read_sentencepiece(SentencePieceModel::Algorithm::kBpe);
    } else if (scheme == "t5") {
      read_sentencepiece(SentencePieceModel::Algorithm::kUnigram);
    } else {
      fail("tokenizer.ggml.model", fmt::format("is {}; known: gpt2, llama, t5", printable(scheme)));
    }
    read_special_ids(scheme == "llama" || bos_by_default_);
    return std::move(stages_);
  }

 private:
  [[noreturn]] void fail(const std::string& field, const std::string& what) const {
    throw InputError(fmt::format("{}: {} {}", file_.path().string(), field, what));
  }

  // llama.cpp's token types are SentencePiece's.
  void read_pieces() {
    const auto texts = file_.get<std::vector<std::string>>("tokenizer.ggml.tokens");
    if (texts.empty()) fail("tokenizer.ggml.tokens", "is empty");
    std::vector<int64_t> types(texts.size(), static_cast<int64_t>(PieceType::kNormal));
    if (file_.has("tokenizer.ggml.token_type")) {
      types = file_.get<std::vector<int64_t>>("tokenizer.ggml.token_type");
    }
    if (types.size() != texts.size()) {
      fail("tokenizer.ggml.token_type",
           fmt::format("has {} entries for {} tokens", types.size(), texts.size()));
    }
    for (size_t id = 0; id < texts.size(); ++id) {
      const bool known = types[id] >= 1 && types[id] <= 6;
      pieces_.push_back({.text = texts[id],
                         .type = known ? static_cast<PieceType>(types[id]) : PieceType::kNormal});
    }
  }

  void read_byte_level() {
    Vocabulary& vocabulary = stages_.vocabulary;
    for (size_t id = 0; id < pieces_.size(); ++id) {
      vocabulary.pieces.push_back(pieces_[id].text);
      vocabulary.ids.emplace(pieces_[id].text, static_cast<int32_t>(id));
    }
    vocabulary.special.resize(pieces_.size());
    const auto name = file_.get_or<std::string>("tokenizer.ggml.pre", "default");
    auto named = named_tokenizer(name);
    if (!named) {
      fail("tokenizer.ggml.pre", fmt::format("is {}, not a known pre-tokenizer", printable(name)));
    }
    stages_.pre_tokenizers = std::move(named->pre_tokenizers);
    bos_by_default_ = named->add_bos;
    MergeTable merges;
    for (const std::string& merge : file_.get<std::vector<std::string>>("tokenizer.ggml.merges")) {
      merges.add(vocabulary.ids, merge, file_.path().string() + ": tokenizer.ggml.merges");
    }
    stages_.model = std::make_unique<BpeModel>(vocabulary.ids, std::move(merges),
                                               BpeOptions{.whole_words = named->whole_words});
    stages_.decoder.push_back(decode_byte_level());
    for (size_t id = 0; id < pieces_.size(); ++id) {
      const PieceType type = pieces_[id].type;
      if (type == PieceType::kControl || type == PieceType::kUnknown) add(id, true);
      if (type == PieceType::kUserDefined) add(id, false);
    }
  }

  void add(size_t id, bool special) {
    stages_.vocabulary.special[id] = special;
    stages_.vocabulary.added.push_back(
        {.text = pieces_[id].text, .id = static_cast<int32_t>(id), .special = special});
  }

  // llama.cpp looks for user-defined pieces before anything else, as for control pieces.
  void read_sentencepiece(SentencePieceModel::Algorithm algorithm) {
    const bool unigram = algorithm == SentencePieceModel::Algorithm::kUnigram;
    SentencePieceModel model{
        .pieces = pieces_,
        .algorithm = algorithm,
        .byte_fallback = true,
        .add_dummy_prefix = file_.get_or<bool>("tokenizer.ggml.add_space_prefix", true),
        .remove_extra_white_space =
            file_.get_or<bool>("tokenizer.ggml.remove_extra_whitespaces", unigram),
        .unknown = special_id("unknown")};
    const auto scores = file_.get<std::vector<double>>("tokenizer.ggml.scores");
    if (scores.size() != pieces_.size()) {
      fail("tokenizer.ggml.scores",
           fmt::format("has {} entries for {} tokens", scores.size(), pieces_.size()));
    }
    for (size_t id = 0; id < pieces_.size(); ++id) {
      SentencePiece& piece = model.pieces[id];
      piece.score = static_cast<float>(scores[id]);
      if (byte_of_token(piece.text)) piece.type = PieceType::kByte;
      if (piece.type == PieceType::kUserDefined) piece.type = PieceType::kNormal;
      if (piece.type == PieceType::kUnknown && !model.unknown) model.unknown = id;
    }
    if (file_.has("tokenizer.ggml.precompiled_charsmap")) {
      for (const int64_t byte :
           file_.get<std::vector<int64_t>>("tokenizer.ggml.precompiled_charsmap")) {
        model.charsmap += static_cast<char>(byte);
      }
    }
    if (unigram && !model.unknown) fail("tokenizer.ggml.unknown_token_id", "is missing");
    stages_ = sentencepiece_pipeline(model, file_.path().string() + ": tokenizer.ggml");
    for (size_t id = 0; id < pieces_.size(); ++id) {
      if (pieces_[id].type == PieceType::kUserDefined) add(id, false);
    }
  }

  std::optional<int32_t> special_id(const std::string& name) const {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    if (!file_.has(key)) return std::nullopt;
    const auto id = file_.get<uint64_t>(key);
    if (id >= pieces_.size()) {
      fail(key, fmt::format("is {}, the vocabulary has {}", id, pieces_.size()));
    }
    return static_cast<int32_t>(id);
  }

  void read_special_ids(bool prefix_by_default) {
    Vocabulary& vocabulary = stages_.vocabulary;
    vocabulary.bos = special_id("bos");
    for (const char* name : {"eos", "eot", "eom"}) {
      if (const auto id = special_id(name)) vocabulary.add_eos(*id);
    }
    if (vocabulary.bos && file_.get_or<bool>("tokenizer.ggml.add_bos_token", prefix_by_default)) {
      vocabulary.prefix = {*vocabulary.bos};
    }
    if (!vocabulary.eos.empty() && file_.get_or<bool>("tokenizer.ggml.add_eos_token", false)) {
      vocabulary.suffix = {vocabulary.eos[0]};
    }
    vocabulary.chat_template = file_.get_or<std::string>("tokenizer.chat_template", "");
  }

  const GgufFile file_;
  std::vector<SentencePiece> pieces_;  // by id
  Pipeline stages_;
  bool bos_by_default_ = false;
};

}  // namespace

Pipeline read_gguf_vocabulary(const std::filesystem::path& file) { return Reader(file).read(); }

}  // namespace octet
