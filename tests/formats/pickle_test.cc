#include "runtime/formats/pickle.h"

#include <gtest/gtest.h>

#include "tests/formats/expect_input_error.h"
#include "tests/formats/torch_builder.h"

namespace octet {
namespace {

constexpr std::string_view kGlobals[] = {"collections.OrderedDict", "m.f"};

Pickle load(const std::string& opcodes) { return Pickle(opcodes, "p.pkl", kGlobals); }

TEST(Pickle, PlainValues_AreRead) {
  const std::string integers[] = {"J\xff\xff\xff\xff", "K\xff",
                                  "M\xff\xff",         std::string("\x8a\0", 2),
                                  "\x8a\x01\x80",      "\x8a\x05\xff\xff\xff\xff\x7f"};
  const int64_t expected[] = {-1, 255, 65535, 0, -128, 0x7fffffffff};
  for (size_t i = 0; i < std::size(expected); ++i) {
    const Pickle pickle = load(integers[i] + ".");
    EXPECT_EQ(pickle.root().kind, PickleKind::kInt);
    EXPECT_EQ(pickle.root().number, expected[i]);
  }
  EXPECT_EQ(load("N.").root().kind, PickleKind::kNone);
  EXPECT_EQ(load("\x88.").root().number, 1);
  EXPECT_EQ(load("\x89.").root().number, 0);
  EXPECT_EQ(load("G12345678.").root().kind, PickleKind::kFloat);
  EXPECT_EQ(load("\x8c\x03one.").root().text, "one");
  EXPECT_EQ(load(std::string("\x8d\x03\0\0\0\0\0\0\0one.", 13)).root().text, "one");
}

TEST(Pickle, ContainersMarksAndMemo_Nest) {
  // {"k": [1, (2, 3)]}, with the list put into the memo and taken out again
  const Pickle pickle =
      load("\x80\x02}" + pickled("k") + "](K\x01K\x02K\x03\x86" + "e\x94q\x07" + "0h\x07s.");
  const PickleValue& root = pickle.root();
  ASSERT_EQ(root.kind, PickleKind::kDict);
  ASSERT_EQ(root.items.size(), 2u);
  const PickleValue& list = pickle[root.items[1]];
  ASSERT_EQ(list.kind, PickleKind::kList);
  ASSERT_EQ(list.items.size(), 2u);
  const PickleValue& tuple = pickle[list.items[1]];
  ASSERT_EQ(tuple.kind, PickleKind::kTuple);
  EXPECT_EQ(pickle[tuple.items[1]].number, 3);
}

TEST(Pickle, Calls_AreDataAndNothingIsCalled) {
  const Pickle pickle = load(pickled_call("m", "f", {"K\x05"}) + ".");
  ASSERT_EQ(pickle.root().kind, PickleKind::kCall);
  EXPECT_EQ(pickle[pickle.root().items[0]].text, "m.f");
  EXPECT_EQ(pickle[pickle[pickle.root().items[1]].items[0]].number, 5);
  const std::string dict = pickled_call("collections", "OrderedDict", {});
  EXPECT_EQ(load(dict + pickled("k") + "Ns.").root().items.size(), 2u);
  EXPECT_EQ(load(dict + "}" + pickled("_metadata") + "Nsb.").root().items.size(), 0u);
}

TEST(Pickle, OtherGlobals_AreRefusedByName) {
  EXPECT_INPUT_ERROR(load("cos\nsystem\n" + pickled("rm") + "\x85R."), "p.pkl", "byte 0",
                     "'os.system'");
  EXPECT_INPUT_ERROR(load("\x8c\x02os\x8c\x06system\x93."), "p.pkl", "'os.system'");
  EXPECT_INPUT_ERROR(load("c\x1b[2J\nf\n."), "'\\x1b[2J.f'");
  EXPECT_INPUT_ERROR(load("cm\n"), "name: no end of the line");
}

TEST(Pickle, Malformed_IsNamed) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "opcode: 1 bytes do not fit"},
      {".", "the stack is empty"},
      {"NN.", "values left on the stack"},
      {"N(.", "the stack is empty"},
      {"\x80\x05N.", "protocol 5"},
      {"\x80\x01N.", "protocol 1"},
      {"I1\n.", "opcode 0x49 is not one"},
      {"}\x81.", "opcode 0x81"},
      {"h\x01.", "memo's 1"},
      {"t.", "no mark"},
      {"N(a.", "the stack is empty"},
      {"NNa.", "no list or dict"},
      {"](NNu.", "no list or dict"},
      {"}(Nu.", "a key without a value"},
      {"NNb.", "no dict"},
      {"N)R.", "a call of what is no global"},
      {"cm\nf\nNR.", "a call of what is no global"},
      {"ccollections\nOrderedDict\n(Nt"
       "R.",
       "OrderedDict of something"},
      {"NN\x93.", "a name is not a string"},
      {"\x8a\x09"
       "123456789.",
       "more than 64 bits"},
      {"X\xff\xff\xff\xff"
       "abc.",
       "string: 4294967295 bytes do not fit into the 4 left"},
  };
  for (const auto& [opcodes, message] : cases) {
    SCOPED_TRACE(message);
    EXPECT_INPUT_ERROR(load(opcodes), "p.pkl", message);
  }
}

TEST(Pickle, Nesting_CostsNoStack_AndValuesAreCounted) {
  const std::string deep = std::string(500'000, '(') + std::string(500'000, 't') + ".";
  EXPECT_EQ(load(deep).root().kind, PickleKind::kTuple);
  EXPECT_EQ(load("]" + std::string(500'000, ']') + std::string(500'000, 'a') + ".").root().kind,
            PickleKind::kList);
  EXPECT_INPUT_ERROR(load(std::string(Pickle::kMaxValues + 1, 'N') + "."), "more than");
}

}  // namespace
}  // namespace octet
