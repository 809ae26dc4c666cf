#include "runtime/formats/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "runtime/formats/byte_reader.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr std::string_view kOrderedDict = "collections.OrderedDict";

// Python's names for them.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kEmptyList = ']',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

// The stack machine. Every step takes at least one byte and makes at most one value, so memory is
// bounded by the pickle's bytes and kMaxValues.
class Machine {
 public:
  Machine(std::string_view bytes, const std::string& source,
          std::span<const std::string_view> globals, std::deque<PickleValue>& values)
      : in_(bytes, source), globals_(globals), values_(values) {}

  PickleId run() {
    for (;;) {
      begin_ = in_.position();
      const auto opcode = in_.read<uint8_t>("opcode");
      if (opcode == kStop) break;
      if (!step_number(opcode) && !step_text(opcode) && !step_container(opcode) &&
          !step_memo(opcode) && !step_object(opcode)) {
        fail(fmt::format("opcode 0x{:02x} is not one that weights need", opcode));
      }
    }
    const PickleId root = pop();
    if (!stack_.empty() || !marks_.empty()) fail("ends with values left on the stack");
    return root;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(fmt::format("{}: byte {}: {}", in_.source(), begin_, what));
  }

  void push(PickleId id) { stack_.push_back(id); }
  void push_new(PickleValue value) {
    if (values_.size() == Pickle::kMaxValues) {
      fail(fmt::format("more than {} values", Pickle::kMaxValues));
    }
    values_.push_back(std::move(value));
    push(static_cast<PickleId>(values_.size() - 1));
  }
  void push_number(PickleKind kind, int64_t number) {
    push_new({.kind = kind, .number = number, .text = {}, .items = {}});
  }
  void push_items(PickleKind kind, std::vector<PickleId> items) {
    push_new({.kind = kind, .text = {}, .items = std::move(items)});
  }

  // The values above the last mark are not to be popped one by one past it.
  PickleId top() const {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("the stack is empty");
    return stack_.back();
  }
  PickleId pop() {
    const PickleId id = top();
    stack_.pop_back();
    return id;
  }
  std::vector<PickleId> pop_last(size_t count) {
    std::vector<PickleId> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }
  std::vector<PickleId> pop_to_mark() {
    if (marks_.empty()) fail("no mark on the stack");
    const auto from = stack_.begin() + static_cast<int64_t>(marks_.back());
    std::vector<PickleId> items(from, stack_.end());
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::string pop_text() {
    const PickleValue& value = values_[pop()];
    if (value.kind != PickleKind::kText) fail("a name is not a string");
    return value.text;
  }

  bool step_number(uint8_t opcode) {
    switch (opcode) {
      case kNone:
        return push_number(PickleKind::kNone, 0), true;
      case kNewTrue:
      case kNewFalse:
        return push_number(PickleKind::kBool, opcode == kNewTrue), true;
      case kBinInt:
        return push_number(PickleKind::kInt, in_.read<int32_t>("integer")), true;
      case kBinInt1:
        return push_number(PickleKind::kInt, in_.read<uint8_t>("integer")), true;
      case kBinInt2:
        return push_number(PickleKind::kInt, in_.read<uint16_t>("integer")), true;
      case kLong1:
        return push_number(PickleKind::kInt, read_long()), true;
      case kBinFloat:
        in_.read<double>("float");
        return push_number(PickleKind::kFloat, 0), true;
      default:
        return false;
    }
  }

  int64_t read_long() {  // two's complement of as few bytes as it needs
    const std::string_view bytes = in_.read_text(in_.read<uint8_t>("length"), "integer");
    if (bytes.size() > sizeof(int64_t)) fail("an integer of more than 64 bits");
    const bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
    int64_t value = negative ? -1 : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  bool step_text(uint8_t opcode) {
    uint64_t length = 0;
    switch (opcode) {
      case kShortBinUnicode:
        length = in_.read<uint8_t>("length");
        break;
      case kBinUnicode:
        length = in_.read<uint32_t>("length");
        break;
      case kBinUnicode8:
        length = in_.read<uint64_t>("length");
        break;
      default:
        return false;
    }
    const std::string_view text = in_.read_text(length, "string");
    push_new({.kind = PickleKind::kText, .text = std::string(text), .items = {}});
    return true;
  }

  bool step_container(uint8_t opcode) {
    switch (opcode) {
      case kEmptyTuple:
        return push_items(PickleKind::kTuple, {}), true;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return push_items(PickleKind::kTuple, pop_last(opcode - kTuple1 + 1u)), true;
      case kTuple:
        return push_items(PickleKind::kTuple, pop_to_mark()), true;
      case kEmptyList:
        return push_items(PickleKind::kList, {}), true;
      case kEmptyDict:
        return push_items(PickleKind::kDict, {}), true;
      case kAppend:
        return extend(PickleKind::kList, pop_last(1)), true;
      case kAppends:
        return extend(PickleKind::kList, pop_to_mark()), true;
      case kSetItem:
        return extend(PickleKind::kDict, pop_last(2)), true;
      case kSetItems:
        return extend(PickleKind::kDict, pop_to_mark()), true;
      default:
        return false;
    }
  }

  void extend(PickleKind kind, const std::vector<PickleId>& items) {
    PickleValue& value = values_[top()];
    if (value.kind != kind) fail("items for what is no list or dict");
    if (kind == PickleKind::kDict && items.size() % 2 != 0) fail("a key without a value");
    value.items.insert(value.items.end(), items.begin(), items.end());
  }

  bool step_memo(uint8_t opcode) {
    switch (opcode) {
      case kBinPut:
        return memo_[in_.read<uint8_t>("memo")] = top(), true;
      case kLongBinPut:
        return memo_[in_.read<uint32_t>("memo")] = top(), true;
      case kMemoize:
        return memo_[static_cast<uint32_t>(memo_.size())] = top(), true;
      case kBinGet:
        return get(in_.read<uint8_t>("memo")), true;
      case kLongBinGet:
        return get(in_.read<uint32_t>("memo")), true;
      default:
        return false;
    }
  }

  void get(uint32_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) fail(fmt::format("nothing was put into the memo's {}", place));
    push(found->second);
  }

  bool step_object(uint8_t opcode) {
    switch (opcode) {
      case kProto: {
        const auto version = in_.read<uint8_t>("protocol");
        if (version < 2 || version > 4) fail(fmt::format("protocol {}, not 2 to 4", version));
        return true;
      }
      case kFrame:
        in_.read<uint64_t>("frame");
        return true;
      case kMark:
        return marks_.push_back(stack_.size()), true;
      case kPop:
        return pop(), true;
      case kGlobal: {
        const std::string_view module = in_.read_line("module");
        return push_global(fmt::format("{}.{}", module, in_.read_line("name"))), true;
      }
      case kStackGlobal: {
        const std::string name = pop_text();
        return push_global(fmt::format("{}.{}", pop_text(), name)), true;
      }
      case kBinPersId:
        return push_items(PickleKind::kPersistent, pop_last(1)), true;
      case kReduce:
        return call(), true;
      case kBuild:
        pop();
        if (values_[top()].kind != PickleKind::kDict) fail("attributes for what is no dict");
        return true;
      default:
        return false;
    }
  }

  void push_global(std::string name) {
    if (std::ranges::find(globals_, name) == globals_.end()) {
      fail(fmt::format("global {} is not one that weights need", printable(name)));
    }
    push_new({.kind = PickleKind::kGlobal, .text = std::move(name), .items = {}});
  }

  void call() {
    const std::vector<PickleId> items = pop_last(2);
    const PickleValue &callable = values_[items[0]], &arguments = values_[items[1]];
    if (callable.kind != PickleKind::kGlobal || arguments.kind != PickleKind::kTuple) {
      fail("a call of what is no global");
    }
    if (callable.text != kOrderedDict) return push_items(PickleKind::kCall, items);
    if (!arguments.items.empty()) fail("collections.OrderedDict of something");
    push_items(PickleKind::kDict, {});
  }

  ByteReader in_;
  std::span<const std::string_view> globals_;
  std::deque<PickleValue>& values_;
  size_t begin_ = 0;  // of the opcode
  std::vector<PickleId> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint32_t, PickleId> memo_;
};

}  // namespace

Pickle::Pickle(std::string_view bytes, const std::string& source,
               std::span<const std::string_view> globals)
    : root_(Machine(bytes, source, globals, values_).run()) {}

}  // namespace octet
