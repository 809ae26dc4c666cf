#include "runtime/tokenizer/proto_fields.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "runtime/request/error.h"

namespace octet {

ProtoFields::ProtoFields(std::string_view bytes, std::string where)
    : all_(bytes), rest_(bytes), where_(std::move(where)) {}

bool ProtoFields::next() {
  if (rest_.empty()) return false;
  const uint64_t tag = read_varint();
  number_ = static_cast<uint32_t>(tag >> 3);
  kind_ = static_cast<uint32_t>(tag & 7);
  if (tag >> 32 != 0 || number_ == 0) fail(fmt::format("has the tag {}", tag));
  switch (kind_) {
    case kVarint:
      integer_ = read_varint();
      return true;
    case kFixed64:
      value_ = take(8);
      return true;
    case kBytes:
      value_ = take(read_varint());
      return true;
    case kFixed32:
      value_ = take(4);
      return true;
    default:
      fail(fmt::format("has a field of the wire type {}", kind_));
  }
}

uint64_t ProtoFields::integer() const {
  require(kVarint);
  return integer_;
}

float ProtoFields::real() const {
  require(kFixed32);
  float value = 0;
  std::memcpy(&value, value_.data(), sizeof(value));
  return value;
}

std::string_view ProtoFields::bytes() const {
  require(kBytes);
  return value_;
}

uint64_t ProtoFields::read_varint() {
  uint64_t value = 0;
  for (uint32_t shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<uint8_t>(take(1)[0]);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("has an integer of more than 10 bytes");
}

std::string_view ProtoFields::take(uint64_t count) {
  if (count > rest_.size()) {
    fail(fmt::format("ends early: {} bytes wanted, {} are left", count, rest_.size()));
  }
  const std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

void ProtoFields::require(Kind kind) const {
  if (kind_ != kind) {
    fail(fmt::format("has the field {} in wire type {}, not {}", number_, kind_,
                     static_cast<uint32_t>(kind)));
  }
}

void ProtoFields::fail(const std::string& what) const {
  throw InputError(fmt::format("{} {} (before byte {})", where_, what, all_.size() - rest_.size()));
}

}  // namespace octet
