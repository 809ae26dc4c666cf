#include "kernels/cuda/device_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace octet::cuda {
namespace {

constexpr size_t kLeastPinned = size_t{1} << 20, kMostPinned = size_t{8} << 20;
constexpr size_t kPieceOfThread = size_t{512} << 10;
constexpr int kMostThreads = 8;

}  // namespace

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(fmt::format("CUDA: {}: {}", what, cudaGetErrorString(error)));
}

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

// The driver hands out whole pages, or pieces of one.
size_t allocated_bytes(size_t bytes) {
  constexpr size_t kPage = size_t{2} << 20, kPiece = 512;
  const size_t unit = bytes < kPage / 2 ? kPiece : kPage;
  return (std::max<size_t>(bytes, 1) + unit - 1) / unit * unit;
}

DeviceContext::DeviceContext(int device) : device_(device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  name_ = properties.name;
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  for (Pinned& buffer : pinned_) {
    check(cudaEventCreateWithFlags(&buffer.free, cudaEventDisableTiming), "cudaEventCreate");
  }
  grow_pinned(kLeastPinned);
}

DeviceContext::~DeviceContext() {
  cudaStreamSynchronize(stream_);
  for (const Pinned& buffer : pinned_) {
    cudaFreeHost(buffer.memory);
    cudaEventDestroy(buffer.free);
  }
  cudaStreamDestroy(stream_);
}

Tensor DeviceContext::allocate(DType dtype, Shape shape) const {
  const size_t bytes = static_cast<size_t>(shape.numel()) * dtype_size(dtype);
  void* memory = nullptr;
  check(cudaMalloc(&memory, std::max<size_t>(bytes, 1)), "cudaMalloc");
  std::shared_ptr<std::byte> storage(static_cast<std::byte*>(memory),
                                     [](std::byte* p) { cudaFree(p); });
  check(cudaMemsetAsync(memory, 0, std::max<size_t>(bytes, 1), stream_), "cudaMemset");
  return Tensor(std::move(storage), dtype, shape);
}

size_t DeviceContext::available_bytes() const {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

void DeviceContext::grow_pinned(size_t bytes) {
  synchronize();
  pinned_bytes_ = 0;
  for (Pinned& buffer : pinned_) {
    cudaFreeHost(buffer.memory);
    buffer.memory = nullptr;
    void* memory = nullptr;
    check(cudaMallocHost(&memory, bytes), "cudaMallocHost");
    buffer.memory = static_cast<std::byte*>(memory);
  }
  pinned_bytes_ = bytes;
}

// One core copies slower than the link carries.
void DeviceContext::copy_in_pieces(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes <= kPieceOfThread) {
    std::memcpy(to, from, bytes);
    return;
  }
  if (threads_ == nullptr) {
    threads_ =
        std::make_unique<cpu::ThreadPool>(std::min(cpu::available_processors(), kMostThreads));
  }
  threads_->run(static_cast<int64_t>((bytes + kPieceOfThread - 1) / kPieceOfThread),
                [=](int, int64_t i) {
                  const size_t at = static_cast<size_t>(i) * kPieceOfThread;
                  std::memcpy(to + at, from + at, std::min(kPieceOfThread, bytes - at));
                });
}

std::byte* DeviceContext::staging(size_t bytes) {
  if (staging_.bytes() < bytes) {
    staging_ = Tensor();
    staging_ = allocate(DType::kU8, {static_cast<int64_t>(bytes)});
  }
  return staging_.raw_data();
}

void DeviceContext::upload(const void* host, void* device, size_t bytes) {
  if (bytes > pinned_bytes_ && pinned_bytes_ < kMostPinned) {
    grow_pinned(std::min(bytes, kMostPinned));
  }
  const auto* from = static_cast<const std::byte*>(host);
  auto* to = static_cast<std::byte*>(device);
  for (size_t done = 0; done < bytes;) {
    const size_t piece = std::min(bytes - done, pinned_bytes_);
    Pinned& buffer = pinned_[next_];
    next_ = (next_ + 1) % pinned_.size();
    check(cudaEventSynchronize(buffer.free), "upload");
    copy_in_pieces(buffer.memory, from + done, piece);
    check(cudaMemcpyAsync(to + done, buffer.memory, piece, cudaMemcpyHostToDevice, stream_),
          "upload");
    check(cudaEventRecord(buffer.free, stream_), "upload");
    done += piece;
  }
}

// Two pieces are on their way at a time.
void DeviceContext::download(const void* device, void* host, size_t bytes) {
  const auto* from = static_cast<const std::byte*>(device);
  auto* to = static_cast<std::byte*>(host);
  const size_t pieces = (bytes + pinned_bytes_ - 1) / pinned_bytes_;
  const auto size_of = [&](size_t i) { return std::min(pinned_bytes_, bytes - i * pinned_bytes_); };
  for (size_t i = 0; i <= pieces; ++i) {
    if (i < pieces) {
      const Pinned& buffer = pinned_[i % 2];
      check(cudaMemcpyAsync(buffer.memory, from + i * pinned_bytes_, size_of(i),
                            cudaMemcpyDeviceToHost, stream_),
            "download");
      check(cudaEventRecord(buffer.free, stream_), "download");
    }
    if (i > 0) {
      const Pinned& buffer = pinned_[(i - 1) % 2];
      check(cudaEventSynchronize(buffer.free), "download");
      copy_in_pieces(to + (i - 1) * pinned_bytes_, buffer.memory, size_of(i - 1));
    }
  }
  synchronize();
}

void DeviceContext::synchronize() const { check(cudaStreamSynchronize(stream_), "synchronize"); }

}  // namespace octet::cuda
