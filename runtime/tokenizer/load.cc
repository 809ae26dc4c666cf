#include <fmt/format.h>

#include "runtime/request/error.h"
#include "runtime/tokenizer/readers.h"
#include "runtime/tokenizer/tokenizer.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

Pipeline read_file(const fs::path& file) {
  if (file.extension() == ".json") return read_tokenizer_json(file);
  if (file.extension() == ".model") return read_sentencepiece_model(file);
  return read_gguf_vocabulary(file);
}

Pipeline read_folder(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.gguf", "tokenizer.model"}) {
    if (fs::exists(folder / name)) return read_file(folder / name);
  }
  if (fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt")) {
    return read_vocab_and_merges(folder);
  }
  throw InputError(fmt::format("{}: has none of tokenizer.json, tokenizer.gguf, tokenizer.model, "
                               "vocab.json with merges.txt",
                               folder.string()),
                   ErrorCode::kNotFound);
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& model) {
  if (!fs::exists(model)) {
    throw InputError(fmt::format("{}: no such file or folder", model.string()),
                     ErrorCode::kNotFound);
  }
  if (fs::is_regular_file(model)) return std::make_unique<PipelineTokenizer>(read_file(model));
  Pipeline stages = read_folder(model);
  read_folder_settings(model, stages.vocabulary);
  return std::make_unique<PipelineTokenizer>(std::move(stages));
}

}  // namespace octet
