// ServedModel: the model as clients see it: its name, and its way from text to token ids.
// Immutable; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/chat_template.h"
#include "runtime/tokenizer/tokenizer.h"

namespace octet {

class ServedModel {
 public:
  // `name` "": the last part of the path. Throws InputError naming the file. A chat template that
  // cannot be understood fails the requests that need it, not the model.
  ServedModel(const std::filesystem::path& path, std::string name);

  const std::string& name() const { return name_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

  void require_name(
      const std::string& asked) const;  // throws InputError (kNotFound); "" is this model

  // Throw InputError naming the field.
  std::vector<int32_t> encode_prompt(std::string_view prompt) const;
  std::vector<int32_t> encode_chat(const std::vector<ChatMessage>& messages) const;

 private:
  std::string name_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
  std::string why_no_template_;
  std::string bos_, eos_;
};

}  // namespace octet
