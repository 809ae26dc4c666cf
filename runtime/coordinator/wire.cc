#include "runtime/coordinator/wire.h"

#include <fmt/format.h>
#include <google/protobuf/unknown_field_set.h>
#include <utf8proc.h>

#include <optional>
#include <string>
#include <vector>

namespace octet {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

std::optional<size_t> first_bad_byte(const std::string& text) {
  size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t codepoint = 0;
    const utf8proc_ssize_t length =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                         static_cast<utf8proc_ssize_t>(text.size() - at), &codepoint);
    if (length <= 0) return at;
    at += static_cast<size_t>(length);
  }
  return std::nullopt;
}

// Follows the descriptor, whose depth bounds the recursion: no message of ours contains itself.
void check_strings(const std::string& bytes, const Descriptor& type, const std::string& path) {
  UnknownFieldSet fields;
  if (!fields.ParseFromString(bytes)) {
    throw InputError(
        fmt::format("{}: not a {} message", path.empty() ? "request" : path, type.name()));
  }
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& value = fields.field(i);
    const FieldDescriptor* field = type.FindFieldByNumber(value.number());
    if (!field || value.type() != UnknownField::TYPE_LENGTH_DELIMITED) continue;
    const std::string name = path.empty() ? field->name() : path + "." + field->name();
    if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
      check_strings(value.length_delimited(), *field->message_type(), name);
    } else if (field->type() == FieldDescriptor::TYPE_STRING) {
      if (const auto bad = first_bad_byte(value.length_delimited())) {
        throw InputError(fmt::format("{}: malformed UTF-8 at byte {}", name, *bad));
      }
    }
  }
}

constexpr std::pair<ErrorCode, grpc::StatusCode> kCodes[] = {
    {ErrorCode::kInvalidArgument, grpc::INVALID_ARGUMENT},
    {ErrorCode::kNotFound, grpc::NOT_FOUND},
    {ErrorCode::kResourceExhausted, grpc::RESOURCE_EXHAUSTED},
    {ErrorCode::kUnavailable, grpc::UNAVAILABLE},
    {ErrorCode::kDeadlineExceeded, grpc::DEADLINE_EXCEEDED},
    {ErrorCode::kCancelled, grpc::CANCELLED},
};

}  // namespace

grpc::Status to_status(const InputError& error) {
  for (const auto& [code, status] : kCodes) {
    if (code == error.code()) return {status, error.what()};
  }
  return {grpc::INTERNAL, error.what()};
}

InputError to_input_error(const grpc::Status& status, const std::string& context) {
  const bool late = status.error_code() == grpc::DEADLINE_EXCEEDED;
  const std::string line = fmt::format(
      "{}: {}", context, late ? "no whole answer before the deadline" : status.error_message());
  for (const auto& [code, grpc_code] : kCodes) {
    if (grpc_code == status.error_code()) return InputError(line, code);
  }
  return InputError(line, ErrorCode::kUnavailable);
}

void parse_message(const grpc::ByteBuffer& bytes, google::protobuf::Message& message) {
  std::vector<grpc::Slice> slices;
  std::string whole;
  if (!bytes.Dump(&slices).ok()) throw InputError("request: cannot be read");
  for (const grpc::Slice& slice : slices) {
    whole.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  check_strings(whole, *message.GetDescriptor(), "");
  if (!message.ParseFromString(whole)) {
    throw InputError(fmt::format("request: not a {} message", message.GetDescriptor()->name()));
  }
}

grpc::ByteBuffer serialize_message(const google::protobuf::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace octet
