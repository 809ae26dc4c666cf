#include "runtime/tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/request/error.h"

namespace octet {
namespace {

using nlohmann::json;

const json& expected() {
  static const json all =
      json::parse(std::ifstream(OCTET_SOURCE_DIR "/tests/tokenizer/chat_templates.json"));
  return all;
}

std::vector<ChatMessage> messages() {
  std::vector<ChatMessage> list;
  for (const json& m : expected()["messages"]) list.push_back({m["role"], m["content"]});
  return list;
}

std::string error_of(const std::string& text) {
  try {
    ChatTemplate(text).render(messages(), true, "<s>", "</s>");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(ChatTemplate, RendersWhatJinja2Renders) {
  ASSERT_GE(expected()["cases"].size(), 8u);
  for (const json& c : expected()["cases"]) {
    const ChatTemplate compiled(c["template"].get<std::string>());
    EXPECT_EQ(compiled.render(messages(), c["add_generation_prompt"], "<s>", "</s>"),
              c["expected"].get<std::string>())
        << c["name"];
  }
}

TEST(ChatTemplate, WhatIsNotUnderstoodIsNamedWithItsLine) {
  EXPECT_EQ(error_of("a\n{% frobnicate %}"),
            "chat template, line 2: the statement \"frobnicate\" is not known");
  EXPECT_EQ(error_of("{{ x | sparkle }}"), "chat template: the filter \"sparkle\" is not known");
  EXPECT_EQ(error_of("{% if true %}"), "chat template, line 1: a block is not ended");
  EXPECT_EQ(error_of("{{ 'open }}"), "chat template, line 1: a string is not closed");
  EXPECT_EQ(error_of("{{ raise_exception('no tools') }}"), "chat template: no tools");
  EXPECT_NE(error_of("{{ missing.field }}"), "");
}

TEST(ChatTemplate, AHostileTemplateEndsInAnError) {
  EXPECT_NE(error_of(std::string(100000, '(').insert(0, "{{ ")), "");
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "{% if true %}";
  EXPECT_NE(error_of(deep), "");
  EXPECT_EQ(
      error_of("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"),
      "chat template: it runs too long");
  EXPECT_EQ(error_of("{% set ns = namespace(s='aaaaaaaa') %}{% for a in range(99) %}{% set ns.s = "
                     "ns.s ~ ns.s %}"
                     "{% endfor %}{{ ns.s }}"),
            "chat template: a text grows too long");
  EXPECT_NE(error_of("{{ 1 / 0 }}"), "");
}

TEST(ChatTemplate, TwoThousandMutationsEndInAnErrorOrAText) {
  std::mt19937 generator(1);
  int rendered = 0;
  for (int i = 0; i < 2000; ++i) {
    const json& c = expected()["cases"][generator() % expected()["cases"].size()];
    std::string text = c["template"];
    for (uint32_t edit = 0; edit <= generator() % 3; ++edit) {
      const size_t at = generator() % text.size();
      if (generator() % 2 == 0)
        text[at] = "{}%'|.[(-x1 "[generator() % 12];
      else
        text.erase(at, 1 + generator() % 5);
    }
    rendered += error_of(text).empty();
  }
  EXPECT_GT(rendered, 100);
  EXPECT_LT(rendered, 1900);
}

}  // namespace
}  // namespace octet
