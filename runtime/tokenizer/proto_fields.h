// ProtoFields: the fields of one serialised protobuf message, in order. Hostile bytes are expected:
// every length is checked. Borrows them. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace octet {

class ProtoFields {
 public:
  ProtoFields(std::string_view bytes, std::string where);

  // The next field; false at the end. Then one of the values, of the kind that is there. All throw
  // InputError beginning with `where`.
  bool next();
  uint32_t number() const { return number_; }
  uint64_t integer() const;
  float real() const;
  std::string_view bytes() const;  // a string or a message

 private:
  enum Kind : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  uint64_t read_varint();
  std::string_view take(uint64_t count);
  void require(Kind kind) const;
  [[noreturn]] void fail(const std::string& what) const;

  std::string_view all_, rest_;
  const std::string where_;
  uint32_t number_ = 0;
  uint32_t kind_ = 0;
  uint64_t integer_ = 0;
  std::string_view value_;  // all but varints
};

}  // namespace octet
