// The messages of octet.v1.Group as the project's plain data, and back. Values from the wire are
// checked.
#pragma once

#include "octet/v1/group.pb.h"
#include "runtime/engine/engine.h"
#include "runtime/request/request.h"

namespace octet {

v1::Hello to_hello(const GroupInfo& info);        // without names and version
GroupInfo to_group_info(const v1::Hello& hello);  // throws InputError

v1::Submit to_submit(const Request& request);
Request to_request(const v1::Submit& submit);  // throws InputError

v1::Output to_message(const RequestOutput& output);
RequestOutput to_output(const v1::Output& message);  // throws InputError

v1::Stats to_stats(const EngineStats& stats);

}  // namespace octet
