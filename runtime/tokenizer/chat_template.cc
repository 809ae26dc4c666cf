#include "runtime/tokenizer/chat_template.h"

#include "runtime/request/error.h"
#include "runtime/tokenizer/jinja_parser.h"

namespace octet {

struct ChatTemplate::Impl {
  std::vector<jinja::Token> tokens;
  jinja::Statement run;
};

ChatTemplate::ChatTemplate(std::string_view jinja) : impl_(std::make_unique<Impl>()) {
  impl_->tokens = jinja::lex(jinja);
  impl_->run = jinja::parse(impl_->tokens);
}

ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt, std::string_view bos,
                                 std::string_view eos) const {
  jinja::Value list = jinja::Value::array();
  for (const ChatMessage& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  jinja::Context context;
  context.set("messages", std::move(list));
  context.set("add_generation_prompt", add_generation_prompt);
  context.set("bos_token", std::string(bos));
  context.set("eos_token", std::string(eos));
  try {
    impl_->run(context);
  } catch (const nlohmann::json::exception& wrong) {
    throw InputError(std::string("chat template: ") + wrong.what());
  }
  return std::move(context.output);
}

}  // namespace octet
