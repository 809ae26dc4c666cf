// vocab.json and merges.txt, as GPT-2 was published; Qwen2's have the same form and another cut.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "runtime/formats/file.h"
#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/bpe_model.h"
#include "runtime/tokenizer/readers.h"

namespace octet {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t kLargestMerges = 64 << 20;

struct KnownClass {
  const char* tokenizer_class;  // without "Fast"
  const char* cut;
  bool nfc;
};

constexpr std::array<KnownClass, 2> kClasses = {
    {{"GPT2Tokenizer", "gpt-2", false}, {"Qwen2Tokenizer", "qwen2", true}}};

const KnownClass& known_class(const fs::path& folder) {
  const fs::path file = folder / "tokenizer_config.json";
  if (!fs::exists(file)) return kClasses[0];
  const json settings = read_json_file(file);
  if (!settings.is_object() || !settings.contains("tokenizer_class")) return kClasses[0];
  const json& name = settings["tokenizer_class"];
  std::string text = name.is_string() ? name.get<std::string>() : name.dump();
  if (text.ends_with("Fast")) text.resize(text.size() - 4);
  for (const KnownClass& known : kClasses) {
    if (text == known.tokenizer_class) return known;
  }
  throw InputError(
      fmt::format("{}: tokenizer_class is {}; known beside vocab.json and merges.txt: "
                  "GPT2Tokenizer, Qwen2Tokenizer",
                  file.string(), printable(text)));
}

void read_vocabulary(const fs::path& file, Vocabulary& vocabulary) {
  const json vocab = read_json_file(file);
  if (!vocab.is_object() || vocab.empty()) {
    throw InputError(fmt::format("{}: is not an object of pieces and ids", file.string()));
  }
  for (const auto& [piece, id] : vocab.items()) {
    if (!id.is_number_integer()) {
      throw InputError(
          fmt::format("{}: gives {} an id that is no integer", file.string(), printable(piece)));
    }
    vocabulary.set_piece(piece, id.get<int64_t>(), file.string() + ":");
  }
}

MergeTable read_merges(const fs::path& file, const PieceIds& ids) {
  const std::string text = read_text_file(file, kLargestMerges);
  MergeTable merges;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    merges.add(ids, line, file.string() + ":");
  }
  return merges;
}

}  // namespace

Pipeline read_vocab_and_merges(const fs::path& folder) {
  const KnownClass& known = known_class(folder);
  Pipeline stages;
  Vocabulary& vocabulary = stages.vocabulary;
  read_vocabulary(folder / "vocab.json", vocabulary);
  MergeTable merges = read_merges(folder / "merges.txt", vocabulary.ids);
  stages.model = std::make_unique<BpeModel>(vocabulary.ids, std::move(merges), BpeOptions{});
  if (known.nfc) stages.normalizers.push_back(unicode_form(UnicodeForm::kNfc));
  stages.pre_tokenizers = std::move(named_tokenizer(known.cut)->pre_tokenizers);
  stages.decoder.push_back(decode_byte_level());
  if (const auto end = vocabulary.find("<|endoftext|>")) {
    vocabulary.add_token({.text = "<|endoftext|>"}, *end, folder.string());
    vocabulary.bos = *end;
    vocabulary.add_eos(*end);
  }
  return stages;
}

}  // namespace octet
