#include "runtime/engine/agree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/request/error.h"

namespace octet {
namespace {

void agree(Communicator& communicator, std::exception_ptr own) {
  const int size = communicator.size();
  std::vector<float> failed(size), any(size);
  failed[communicator.rank()] = own ? 1.0f : 0.0f;
  communicator.all_reduce_sum(ReducePlan(size, size), failed, any);
  const auto first = std::find(any.begin(), any.end(), 1.0f);
  if (first == any.end()) return;
  const int teller = static_cast<int>(first - any.begin());
  std::string line;
  try {
    if (own) std::rethrow_exception(own);
  } catch (const InputError& error) {
    line = std::string(error.what()).substr(0, kErrorBytes);
  }
  const auto told = communicator.broadcast(std::as_bytes(std::span(line)), teller);
  if (communicator.rank() == teller) std::rethrow_exception(own);
  throw InputError(
      fmt::format("rank {}: {}", teller,
                  std::string_view(reinterpret_cast<const char*>(told.data()), told.size())));
}

}  // namespace

void all_or_none(Communicator& communicator, const std::function<void()>& work) {
  std::exception_ptr error;
  try {
    work();
  } catch (const InputError&) {
    error = std::current_exception();
  } catch (const std::invalid_argument& bad_flag) {
    error = std::make_exception_ptr(InputError(bad_flag.what()));
  }
  agree(communicator, error);
}

int64_t broadcast_value(Communicator& communicator, int64_t value) {
  const auto message = communicator.broadcast(std::as_bytes(std::span(&value, 1)), 0);
  std::memcpy(&value, message.data(), sizeof value);
  return value;
}

}  // namespace octet
