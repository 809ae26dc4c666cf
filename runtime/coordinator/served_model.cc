#include "runtime/coordinator/served_model.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "runtime/request/error.h"
#include "runtime/tokenizer/utf8.h"

namespace octet {
namespace {

std::string name_of(const std::filesystem::path& path) {
  const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

}  // namespace

ServedModel::ServedModel(const std::filesystem::path& path, std::string name)
    : name_(name.empty() ? name_of(path) : std::move(name)), tokenizer_(load_tokenizer(path)) {
  try {
    require_utf8(name_);
  } catch (const InputError& error) {
    throw InputError(fmt::format("the served model's name: {}", error.what()));
  }
  const auto text_of = [this](int32_t id) { return tokenizer_->token_bytes(id, false); };
  if (const auto bos = tokenizer_->bos_id()) bos_ = text_of(*bos);
  if (const auto eos = tokenizer_->eos_ids(); !eos.empty()) eos_ = text_of(eos.front());
  if (tokenizer_->chat_template().empty()) {
    why_no_template_ = "the model has no chat template";
    return;
  }
  try {
    template_ = std::make_unique<ChatTemplate>(tokenizer_->chat_template());
  } catch (const InputError& error) {
    why_no_template_ = fmt::format("the model's chat template is not understood: {}", error.what());
    spdlog::warn("{}: {}", path.string(), why_no_template_);
  }
}

void ServedModel::require_name(const std::string& asked) const {
  if (asked.empty() || asked == name_) return;
  throw InputError(
      fmt::format("model \"{}\" is not served here; the known one is \"{}\"", asked, name_),
      ErrorCode::kNotFound);
}

std::vector<int32_t> ServedModel::encode_prompt(std::string_view prompt) const {
  if (prompt.empty()) throw InputError("prompt is empty");
  try {
    return tokenizer_->encode(prompt, true, true);
  } catch (const InputError& error) {
    throw InputError(fmt::format("prompt: {}", error.what()), error.code());
  }
}

std::vector<int32_t> ServedModel::encode_chat(const std::vector<ChatMessage>& messages) const {
  if (messages.empty()) throw InputError("chat.messages is empty");
  if (!template_) throw InputError(fmt::format("chat: {}", why_no_template_));
  try {
    return tokenizer_->encode(template_->render(messages, true, bos_, eos_), false, true);
  } catch (const InputError& error) {
    throw InputError(fmt::format("chat: {}", error.what()), error.code());
  }
}

}  // namespace octet
