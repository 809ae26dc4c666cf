// Between gRPC and the project: statuses, and messages read from the wire with their strings
// checked, so that malformed UTF-8 is answered with INVALID_ARGUMENT and the field's name. (The
// generated handlers answer it with UNIMPLEMENTED.)
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include "runtime/request/error.h"

namespace octet {

// Of a message that a coordinator receives; gRPC's own limit.
inline constexpr int kMostMessageBytes = 4 << 20;

grpc::Status to_status(const InputError& error);
InputError to_input_error(const grpc::Status& status, const std::string& context);

// Throws InputError naming the message, the field and the byte.
void parse_message(const grpc::ByteBuffer& bytes, google::protobuf::Message& message);

grpc::ByteBuffer serialize_message(const google::protobuf::Message& message);

}  // namespace octet
