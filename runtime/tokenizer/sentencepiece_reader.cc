// tokenizer.model: the message ModelProto of sentencepiece_model.proto. The numbers below are its
// field numbers.
#include <fmt/format.h>

#include <cmath>

#include "runtime/formats/file.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/proto_fields.h"
#include "runtime/tokenizer/readers.h"
#include "runtime/tokenizer/utf8.h"

namespace octet {
namespace {

constexpr uint64_t kLargestFile = 64 << 20;

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : where_(path.string() + ":"), bytes_(read_text_file(path, kLargestFile)) {}

  Pipeline read() {
    ProtoFields fields(bytes_, where_);
    while (fields.next()) {
      if (fields.number() == 1) read_piece(fields.bytes());
      if (fields.number() == 2) read_trainer(fields.bytes());
      if (fields.number() == 3) read_normalizer(fields.bytes());
      if (fields.number() == 5) read_denormalizer(fields.bytes());
    }
    check();
    Pipeline stages = sentencepiece_pipeline(model_, where_ + " normalizer_spec");
    Vocabulary& vocabulary = stages.vocabulary;
    vocabulary.bos = control(bos_);
    if (vocabulary.bos) vocabulary.prefix = {*vocabulary.bos};
    if (const auto eos = control(eos_)) vocabulary.add_eos(*eos);
    return stages;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{} {}", where_, what));
  }

  void read_piece(std::string_view message) {
    const std::string where = fmt::format("{} pieces[{}]", where_, model_.pieces.size());
    ProtoFields fields(message, where);
    SentencePiece piece;
    while (fields.next()) {
      if (fields.number() == 1) piece.text = fields.bytes();
      if (fields.number() == 2) piece.score = fields.real();
      if (fields.number() == 3) {
        if (fields.integer() < 1 || fields.integer() > 6) {
          throw InputError(fmt::format("{}.type is {}", where, fields.integer()));
        }
        piece.type = static_cast<PieceType>(fields.integer());
      }
    }
    if (piece.text.empty() || !std::isfinite(piece.score)) {
      throw InputError(
          fmt::format("{} is {} with the score {}", where, printable(piece.text), piece.score));
    }
    model_.pieces.push_back(std::move(piece));
  }

  void read_trainer(std::string_view message) {
    ProtoFields fields(message, where_ + " trainer_spec");
    while (fields.next()) {
      if (fields.number() == 3) {
        if (fields.integer() != 1 && fields.integer() != 2) {
          fail(fmt::format("trainer_spec.model_type is {}; known: 1 (Unigram), 2 (BPE)",
                           fields.integer()));
        }
        model_.algorithm = static_cast<SentencePieceModel::Algorithm>(fields.integer());
      }
      if (fields.number() == 24 && fields.integer() != 0) {
        fail("trainer_spec.treat_whitespace_as_suffix is true, which is not understood");
      }
      if (fields.number() == 35) model_.byte_fallback = fields.integer() != 0;
      if (fields.number() == 46) bos_ = fields.bytes();
      if (fields.number() == 47) eos_ = fields.bytes();
    }
  }

  void read_normalizer(std::string_view message) {
    ProtoFields fields(message, where_ + " normalizer_spec");
    while (fields.next()) {
      if (fields.number() == 2) model_.charsmap = fields.bytes();
      if (fields.number() == 3) model_.add_dummy_prefix = fields.integer() != 0;
      if (fields.number() == 4) model_.remove_extra_white_space = fields.integer() != 0;
      if (fields.number() == 5) model_.escape_white_space = fields.integer() != 0;
    }
  }

  void read_denormalizer(std::string_view message) {
    ProtoFields fields(message, where_ + " denormalizer_spec");
    while (fields.next()) {
      if (fields.number() == 2 && !fields.bytes().empty()) {
        fail("denormalizer_spec.precompiled_charsmap is not empty, which is not understood");
      }
    }
  }

  void check() {
    PieceIds seen;
    size_t bytes = 0;
    for (size_t id = 0; id < model_.pieces.size(); ++id) {
      const SentencePiece& piece = model_.pieces[id];
      const auto [place, fresh] = seen.emplace(piece.text, static_cast<int32_t>(id));
      if (!fresh) {
        fail(fmt::format("pieces[{}] and [{}] are both {}", place->second, id,
                         printable(piece.text)));
      }
      if (piece.type == PieceType::kByte) ++bytes;
      if (piece.type != PieceType::kUnknown) continue;
      if (model_.unknown) fail(fmt::format("pieces[{}] is a second unknown piece", id));
      model_.unknown = static_cast<int32_t>(id);
    }
    if (!model_.unknown) fail("has no unknown piece");
    if (model_.byte_fallback && bytes != 256) {
      fail(fmt::format("has byte_fallback and {} byte pieces", bytes));
    }
  }

  std::optional<int32_t> control(const std::string& piece) const {
    for (size_t id = 0; id < model_.pieces.size(); ++id) {
      if (model_.pieces[id].type == PieceType::kControl && model_.pieces[id].text == piece) {
        return static_cast<int32_t>(id);
      }
    }
    return std::nullopt;
  }

  const std::string where_;
  const std::string bytes_;
  SentencePieceModel model_;
  std::string bos_ = "<s>", eos_ = "</s>";
};

}  // namespace

Pipeline read_sentencepiece_model(const std::filesystem::path& file) { return Reader(file).read(); }

Pipeline sentencepiece_pipeline(const SentencePieceModel& model, const std::string& where) {
  constexpr const char* kEscapedSpace = "\xE2\x96\x81";  // U+2581
  Pipeline stages;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiece& piece = model.pieces[id];
    const auto number = static_cast<int64_t>(id);
    if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown) {
      stages.vocabulary.add_token({.text = piece.text}, number, where);
    } else {
      stages.vocabulary.set_piece(piece.text, number, where);
    }
  }
  stages.normalizers.push_back(sentencepiece_normalizer(model, where + ".precompiled_charsmap"));
  stages.model = model.algorithm == SentencePieceModel::Algorithm::kBpe
                     ? sentencepiece_bpe(model)
                     : sentencepiece_unigram(model);
  if (model.escape_white_space) {
    stages.decoder.push_back(decode_replace(Regex::literal(kEscapedSpace), " "));
  }
  stages.decoder.push_back(decode_byte_fallback());
  if (model.add_dummy_prefix) stages.decoder.push_back(decode_strip_first(" ", 1));
  return stages;
}

}  // namespace octet
