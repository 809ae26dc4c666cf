// Pickle: Python's pickle format, read as plain data. Nothing is ever called: what a program would
// import or call is a value like the others, and only the globals of a given list can be named at
// all.
//
// The bytes are hostile. Values lie in one flat list and refer to one another by place, so that no
// depth of nesting costs more than its bytes. Read: what protocols 2 to 4 write for dicts, lists,
// tuples, strings, numbers, booleans, None, calls and persistent ids. Errors: InputError naming the
// source and the byte. Immutable after construction; any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,  // its value is not kept
  kText,
  kTuple,
  kList,
  kDict,
  kGlobal,
  kCall,
  kPersistent,
};

using PickleId = uint32_t;  // of a value, in its Pickle

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int64_t number = 0;           // kBool, kInt
  std::string text;             // kText; kGlobal: "collections.OrderedDict"
  std::vector<PickleId> items;  // kTuple, kList; kDict: key, value, key, value, ...
                                // kCall: callable, arguments (a tuple); kPersistent: its id
};

class Pickle {
 public:
  static constexpr size_t kMaxValues = 1 << 20;

  // `globals`: the names that may appear. collections.OrderedDict() is an empty dict; attributes
  // that are set on a dict are dropped.
  Pickle(std::string_view bytes, const std::string& source,
         std::span<const std::string_view> globals);

  const PickleValue& operator[](PickleId id) const { return values_[id]; }
  const PickleValue& root() const { return values_[root_]; }

 private:
  std::deque<PickleValue> values_;
  PickleId root_ = 0;
};

}  // namespace octet
