#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/formats/file.h"
#include "runtime/formats/json_text.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/readers.h"
#include "runtime/tokenizer/tokenizer.h"

namespace octet {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t kLargestTemplate = 1 << 20;

// A special token's text: a string, or an object with "content".
std::optional<std::string> token_text(const json& settings, const char* field) {
  const auto place = settings.find(field);
  if (place == settings.end()) return std::nullopt;
  if (place->is_string()) return place->get<std::string>();
  if (place->is_object() && place->contains("content") && (*place)["content"].is_string()) {
    return (*place)["content"].get<std::string>();
  }
  return std::nullopt;
}

std::string template_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return "";
  for (const json& entry : value) {
    if (entry.is_object() && entry.value("name", "") == "default")
      return entry.value("template", "");
  }
  return "";
}

void read_settings(const fs::path& file, Vocabulary& vocabulary) {
  const json settings = read_json_file(file);
  if (!settings.is_object())
    throw InputError(fmt::format("{}: is not a JSON object", file.string()));
  if (const auto text = token_text(settings, "bos_token")) vocabulary.bos = vocabulary.find(*text);
  if (const auto text = token_text(settings, "eos_token")) {
    if (const auto id = vocabulary.find(*text)) vocabulary.add_eos(*id);
  }
  if (settings.contains("add_bos_token") && settings["add_bos_token"].is_boolean() &&
      vocabulary.bos) {
    const bool prefixed = !vocabulary.prefix.empty() && vocabulary.prefix[0] == *vocabulary.bos;
    if (settings["add_bos_token"].get<bool>() && !prefixed) {
      vocabulary.prefix.insert(vocabulary.prefix.begin(), *vocabulary.bos);
    }
  }
  if (settings.contains("chat_template")) {
    vocabulary.chat_template = template_text(settings["chat_template"]);
  }
}

void read_eos(const fs::path& file, Vocabulary& vocabulary) {
  const json settings = read_json_file(file);
  if (!settings.is_object() || !settings.contains("eos_token_id")) return;
  const json& eos = settings["eos_token_id"];
  for (const json& id : eos.is_array() ? eos : json::array({eos})) {
    if (id.is_null()) continue;
    if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
        id.get<int64_t>() >= static_cast<int64_t>(vocabulary.pieces.size())) {
      throw InputError(fmt::format("{}: eos_token_id {} is not an id of the vocabulary of {}",
                                   file.string(), id.dump(), vocabulary.pieces.size()));
    }
    vocabulary.add_eos(id.get<int32_t>());
  }
}

}  // namespace

void read_folder_settings(const fs::path& folder, Vocabulary& vocabulary) {
  try {
    if (fs::exists(folder / "tokenizer_config.json")) {
      read_settings(folder / "tokenizer_config.json", vocabulary);
    }
    for (const char* name : {"generation_config.json", "config.json"}) {
      if (fs::exists(folder / name)) read_eos(folder / name, vocabulary);
    }
  } catch (const json::exception& wrong) {
    throw InputError(
        fmt::format("{}: a field has the wrong type ({})", folder.string(), wrong.what()));
  }
  if (fs::exists(folder / "chat_template.jinja")) {
    vocabulary.chat_template = read_text_file(folder / "chat_template.jinja", kLargestTemplate);
  }
}

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& model) {
  if (fs::is_regular_file(model)) {
    return std::make_unique<BpeTokenizer>(read_gguf_vocabulary(model));
  }
  if (!fs::exists(model)) {
    throw InputError(fmt::format("{}: no such file or folder", model.string()),
                     ErrorCode::kNotFound);
  }
  BpeModel vocabulary;
  if (fs::exists(model / "tokenizer.json")) {
    vocabulary = read_json_vocabulary(model / "tokenizer.json");
  } else if (fs::exists(model / "tokenizer.gguf")) {
    vocabulary = read_gguf_vocabulary(model / "tokenizer.gguf");
  } else {
    throw InputError(
        fmt::format("{}: has neither tokenizer.json nor tokenizer.gguf", model.string()),
        ErrorCode::kNotFound);
  }
  read_folder_settings(model, vocabulary.vocabulary);
  return std::make_unique<BpeTokenizer>(std::move(vocabulary));
}

}  // namespace octet
