#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "runtime/formats/file.h"
#include "runtime/formats/json_text.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/json_stages.h"
#include "runtime/tokenizer/readers.h"

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

// The flags that put BOS before and EOS behind a text, or take them away.
void read_ends(const json& settings, Vocabulary& vocabulary) {
  const auto flag = [&](const char* name) {
    const auto place = settings.find(name);
    return place != settings.end() && place->is_boolean() ? std::optional(place->get<bool>())
                                                          : std::nullopt;
  };
  const auto bos = flag("add_bos_token"), eos = flag("add_eos_token");
  if (bos && vocabulary.bos) {
    std::vector<int32_t>& ids = vocabulary.prefix;
    const bool there = !ids.empty() && ids.front() == *vocabulary.bos;
    if (*bos && !there) ids.insert(ids.begin(), *vocabulary.bos);
    if (!*bos && there) ids.erase(ids.begin());
  }
  if (eos && !vocabulary.eos.empty()) {
    std::vector<int32_t>& ids = vocabulary.suffix;
    const bool there = !ids.empty() && ids.back() == vocabulary.eos[0];
    if (*eos && !there) ids.push_back(vocabulary.eos[0]);
    if (!*eos && there) ids.pop_back();
  }
}

void add_unless_known(AddedToken token, int64_t id, const std::string& where,
                      Vocabulary& vocabulary) {
  const bool known = std::any_of(vocabulary.added.begin(), vocabulary.added.end(),
                                 [&](const AddedToken& other) { return other.text == token.text; });
  if (!known) vocabulary.add_token(std::move(token), id, where);
}

// "added_tokens_decoder": {"32000": {"content": ..., ...}}
void read_added(const fs::path& file, const json& settings, Vocabulary& vocabulary) {
  const auto place = settings.find("added_tokens_decoder");
  if (place == settings.end() || !place->is_object()) return;
  for (const auto& [key, value] : place->items()) {
    JsonPart part(fmt::format("{}: added_tokens_decoder.{}", file.string(), printable(key)), value);
    int64_t id = -1;
    const auto parsed = std::from_chars(key.data(), key.data() + key.size(), id);
    if (parsed.ec != std::errc() || parsed.ptr != key.data() + key.size()) part.fail("is no id");
    AddedToken token = read_json_added_token(part);
    part.done();
    add_unless_known(std::move(token), id, part.where(), vocabulary);
  }
}

// added_tokens.json: {"<|user|>": 32000}
void read_added_file(const fs::path& file, Vocabulary& vocabulary) {
  const json tokens = read_json_file(file);
  if (!tokens.is_object()) throw InputError(fmt::format("{}: is no object", file.string()));
  for (const auto& [text, id] : tokens.items()) {
    if (!id.is_number_integer()) {
      throw InputError(
          fmt::format("{}: gives {} an id that is no integer", file.string(), printable(text)));
    }
    add_unless_known({.text = text, .special = false}, id.get<int64_t>(), file.string() + ":",
                     vocabulary);
  }
}

void read_settings(const fs::path& file, Vocabulary& vocabulary) {
  const json settings = read_json_file(file);
  if (!settings.is_object())
    throw InputError(fmt::format("{}: is not a JSON object", file.string()));
  read_added(file, settings, vocabulary);
  if (const auto text = token_text(settings, "bos_token")) vocabulary.bos = vocabulary.find(*text);
  if (const auto text = token_text(settings, "eos_token")) {
    if (const auto id = vocabulary.find(*text)) vocabulary.add_eos(*id);
  }
  read_ends(settings, vocabulary);
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
    if (fs::exists(folder / "added_tokens.json")) {
      read_added_file(folder / "added_tokens.json", vocabulary);
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

}  // namespace octet
