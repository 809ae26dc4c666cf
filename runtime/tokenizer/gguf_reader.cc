#include <fmt/format.h>

#include "runtime/formats/gguf_file.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/readers.h"

namespace octet {
namespace {

// llama.cpp's token types.
enum TokenType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : file_(path) {}

  BpeModel read() {
    const auto scheme = file_.get<std::string>("tokenizer.ggml.model");
    read_pieces();
    if (scheme == "gpt2") {
      model_.scheme = BpeScheme::kByteLevel;
      const auto cut = file_.get_or<std::string>("tokenizer.ggml.pre", "default");
      model_.pre_tokenizer = named_pre_tokenizer(cut);
      model_.whole_words = cut == "llama-bpe" || cut == "llama3" || cut == "llama-v3";
      read_merges();
    } else if (scheme == "llama") {
      model_.scheme = BpeScheme::kByteFallback;
      model_.space_prefix = file_.get_or<bool>("tokenizer.ggml.add_space_prefix", true);
      read_scores();
    } else {
      fail("tokenizer.ggml.model", fmt::format("is \"{}\"; known: gpt2, llama", scheme));
    }
    read_special_ids(scheme == "llama");
    return std::move(model_);
  }

 private:
  [[noreturn]] void fail(const std::string& field, const std::string& what) const {
    throw InputError(fmt::format("{}: {} {}", file_.path().string(), field, what));
  }

  void read_pieces() {
    Vocabulary& vocabulary = model_.vocabulary;
    vocabulary.pieces = file_.get<std::vector<std::string>>("tokenizer.ggml.tokens");
    const size_t count = vocabulary.pieces.size();
    if (count == 0) fail("tokenizer.ggml.tokens", "is empty");
    vocabulary.special.assign(count, false);
    vocabulary.ids.reserve(count);
    for (size_t id = 0; id < count; ++id) {
      vocabulary.ids.emplace(vocabulary.pieces[id], static_cast<int32_t>(id));
    }
    if (!file_.has("tokenizer.ggml.token_type")) return;
    const auto types = file_.get<std::vector<int64_t>>("tokenizer.ggml.token_type");
    if (types.size() != count) {
      fail("tokenizer.ggml.token_type",
           fmt::format("has {} entries for {} tokens", types.size(), count));
    }
    for (size_t id = 0; id < count; ++id) {
      const bool control = types[id] == kControl || types[id] == kUnknown;
      vocabulary.special[id] = control;
      if (control || types[id] == kUserDefined) {
        vocabulary.added.push_back(
            {.text = vocabulary.pieces[id], .id = static_cast<int32_t>(id), .special = control});
      }
    }
  }

  void read_merges() {
    const auto merges = file_.get<std::vector<std::string>>("tokenizer.ggml.merges");
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const std::string& merge = merges[rank];
      const size_t space = merge.find(' ', 1);
      const auto left = model_.vocabulary.find(merge.substr(0, space));
      const auto right =
          space == merge.npos ? std::nullopt : model_.vocabulary.find(merge.substr(space + 1));
      const auto both =
          space == merge.npos
              ? std::nullopt
              : model_.vocabulary.find(merge.substr(0, space) + merge.substr(space + 1));
      if (!left || !right || !both) {
        fail("tokenizer.ggml.merges",
             fmt::format("entry {} (\"{}\") is not of two pieces that make a piece", rank, merge));
      }
      model_.merges.emplace(static_cast<uint64_t>(*left) << 32 | static_cast<uint32_t>(*right),
                            BpeMerge{static_cast<double>(rank), *both});
    }
  }

  void read_scores() {
    const auto scores = file_.get<std::vector<double>>("tokenizer.ggml.scores");
    if (scores.size() != model_.vocabulary.pieces.size()) {
      fail("tokenizer.ggml.scores", fmt::format("has {} entries for {} tokens", scores.size(),
                                                model_.vocabulary.pieces.size()));
    }
    model_.scores.assign(scores.begin(), scores.end());
  }

  std::optional<int32_t> special_id(const std::string& name) const {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    if (!file_.has(key)) return std::nullopt;
    const auto id = file_.get<uint64_t>(key);
    if (id >= model_.vocabulary.pieces.size()) {
      fail(key, fmt::format("is {}, the vocabulary has {}", id, model_.vocabulary.pieces.size()));
    }
    return static_cast<int32_t>(id);
  }

  void read_special_ids(bool prefix_by_default) {
    Vocabulary& vocabulary = model_.vocabulary;
    vocabulary.bos = special_id("bos");
    model_.unknown = special_id("unknown");
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
  BpeModel model_;
};

}  // namespace

BpeModel read_gguf_vocabulary(const std::filesystem::path& file) { return Reader(file).read(); }

}  // namespace octet
