// The functions of emulation/nccl.h among OS threads of this process, over host memory. A send is
// copied into a mailbox, a receive waits for it; all of a group's sends go before its receives.
#include "tests/comm/emulation/nccl.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace {

struct Mail {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::deque<std::vector<float>>> boxes;  // (from, to)
};

struct Operation {
  ncclComm_t comm;
  int peer;
  const float* in;  // null: a receive
  float* out;
  size_t count;
};

std::mutex registry_mutex;
std::map<int, std::weak_ptr<Mail>> registry;
int next_id = 0;
thread_local int depth = 0;
thread_local std::vector<Operation> pending;

}  // namespace

struct ncclComm {
  std::shared_ptr<Mail> mail;
  int rank, size;
  bool aborted = false;
};

namespace {

ncclResult_t run(const std::vector<Operation>& operations) {
  for (const Operation& op : operations) {
    if (op.in == nullptr) continue;
    const std::lock_guard lock(op.comm->mail->mutex);
    op.comm->mail->boxes[{op.comm->rank, op.peer}].emplace_back(op.in, op.in + op.count);
    op.comm->mail->changed.notify_all();
  }
  for (const Operation& op : operations) {
    if (op.out == nullptr) continue;
    Mail& mail = *op.comm->mail;
    std::unique_lock lock(mail.mutex);
    auto& box = mail.boxes[{op.peer, op.comm->rank}];
    mail.changed.wait(lock, [&] { return op.comm->aborted || !box.empty(); });
    if (op.comm->aborted) return ncclSuccess;  // as a kernel that was ended
    if (box.front().size() != op.count) return ncclInvalidArgument;
    std::memcpy(op.out, box.front().data(), op.count * sizeof(float));
    box.pop_front();
  }
  return ncclSuccess;
}

// At the end of the outermost group, on the stream.
ncclResult_t queue(std::vector<Operation> operations, cudaStream_t stream) {
  if (depth > 0) {
    pending.insert(pending.end(), operations.begin(), operations.end());
    return ncclSuccess;
  }
  auto result = std::make_shared<ncclResult_t>(ncclSuccess);
  cuda_emulation::enqueue(stream, [=] { *result = run(operations); });
  return *result;
}

thread_local cudaStream_t group_stream = nullptr;

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  *version = 23000;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::lock_guard lock(registry_mutex);
  const int number = ++next_id;
  std::memcpy(id->internal, &number, sizeof number);
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclSuccess ? "no error" : "emulated error";
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t*) {
  int number = 0;
  std::memcpy(&number, id.internal, sizeof number);
  const std::lock_guard lock(registry_mutex);
  std::shared_ptr<Mail> mail = registry[number].lock();
  if (mail == nullptr) registry[number] = mail = std::make_shared<Mail>();
  *comm = new ncclComm{mail, rank, size};
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

// The communicator itself is left: another thread may be in it.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  const std::lock_guard lock(comm->mail->mutex);
  comm->aborted = true;  // a peer's waits are the peer's own affair
  comm->mail->changed.notify_all();
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* error) {
  *error = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (--depth > 0) return ncclSuccess;
  return queue(std::exchange(pending, {}), group_stream);
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  group_stream = stream;
  return queue({{comm, peer, static_cast<const float*>(data), nullptr, count}}, stream);
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  group_stream = stream;
  return queue({{comm, peer, nullptr, static_cast<float*>(data), count}}, stream);
}

ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t, ncclComm_t comm,
                           cudaStream_t stream) {
  std::vector<Operation> operations;
  for (int peer = 0; peer < comm->size; ++peer) {
    operations.push_back({comm, peer, static_cast<const float*>(in), nullptr, count});
    operations.push_back({comm, peer, nullptr, static_cast<float*>(out) + peer * count, count});
  }
  return queue(std::move(operations), stream);
}

ncclResult_t ncclAllReduce(const void* in, void* out, size_t count, ncclDataType_t, ncclRedOp_t,
                           ncclComm_t comm, cudaStream_t stream) {
  auto all = std::make_shared<std::vector<float>>(count * comm->size);
  const ncclResult_t result = ncclAllGather(in, all->data(), count, ncclFloat32, comm, stream);
  cuda_emulation::enqueue(stream, [=] {
    auto* sums = static_cast<float*>(out);
    for (size_t i = 0; i < count; ++i) {
      sums[i] = 0;
      for (int rank = 0; rank < comm->size; ++rank) sums[i] += (*all)[rank * count + i];
    }
  });
  return result;
}
