// Of builds without CUDA.
#include <stdexcept>

#include "comm/communicator_factory.h"

namespace octet {

std::unique_ptr<Communicator> make_device_communicator(Communicator&, const DeviceQueue&,
                                                       const CommOptions&) {
  throw std::invalid_argument("this build has no communicator for devices");
}

}  // namespace octet
