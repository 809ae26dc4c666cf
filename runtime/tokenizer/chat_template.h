// ChatTemplate: a model's chat template (Jinja, the subset that published models use), compiled
// once. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  // Throws InputError with the line and column of what is not understood.
  explicit ChatTemplate(std::string_view jinja);
  ~ChatTemplate();

  // The prompt's text. bos/eos are the texts of those tokens. Throws InputError (a template's
  // raise_exception too).
  std::string render(const std::vector<ChatMessage>& messages, bool add_generation_prompt,
                     std::string_view bos, std::string_view eos) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace octet
