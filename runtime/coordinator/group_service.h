// octet.v1.Group: where leaders attach.
#pragma once

#include <string>
#include <utility>

#include "octet/v1/group.grpc.pb.h"
#include "runtime/coordinator/group_link.h"
#include "runtime/coordinator/router.h"

namespace octet {

class GroupService : public v1::Group::CallbackService {
 public:
  // `router` is borrowed.
  GroupService(Router& router, std::string model_name)
      : router_(router), model_name_(std::move(model_name)) {}

  grpc::ServerBidiReactor<v1::FromLeader, v1::ToLeader>* Attach(
      grpc::CallbackServerContext* context) override {
    return GroupLink::open(*context, router_, model_name_).get();
  }

 private:
  Router& router_;
  const std::string model_name_;
};

}  // namespace octet
