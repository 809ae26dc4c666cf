#include "runtime/coordinator/coordinator.h"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "runtime/coordinator/group_service.h"
#include "runtime/coordinator/inference_service.h"
#include "runtime/coordinator/live_streams.h"
#include "runtime/coordinator/router.h"
#include "runtime/coordinator/served_model.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kWatchPeriod{100};
constexpr milliseconds kStopLimit{2000};    // for the leader to end its stream when told to stop
constexpr milliseconds kCancelLimit{1000};  // for calls that are left to end by themselves
constexpr milliseconds kKeepaliveTime{20000}, kKeepaliveTimeout{10000}, kLeastPingInterval{5000};

// Both are switches of the whole process that act on servers built afterwards.
void enable_builtin_services() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

}  // namespace

struct Coordinator::Impl {
  explicit Impl(CoordinatorOptions o)
      : options(std::move(o)),
        model(options.model, options.served_model_name),
        router(options.max_queue, {.attached = [this](const GroupInfo& info) { on_attached(info); },
                                   .lost = [this](const std::string& why) { on_lost(why); }}),
        inference(model, router, streams, options.retry_delay),
        group(router, model.name()) {}

  void start();
  void on_attached(const GroupInfo& info);
  void on_lost(const std::string& why);
  void update_health();
  void watch();
  void shutdown(milliseconds grace, const std::string& why);

  const CoordinatorOptions options;
  const ServedModel model;
  LiveStreams streams;
  Router router;
  InferenceService inference;
  GroupService group;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
  std::thread watcher;

  std::mutex mutex;  // guards what follows, and orders changes of health
  std::condition_variable changed;
  bool serving = false, stopping = false, stopped = false;
};

void Coordinator::Impl::start() {
  enable_builtin_services();
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(kMostMessageBytes);
  builder.RegisterService(&inference);
  builder.RegisterService(&group);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(kKeepaliveTime.count()));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             static_cast<int>(kKeepaliveTimeout.count()));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             static_cast<int>(kLeastPingInterval.count()));
  server = builder.BuildAndStart();
  if (!server || port == 0) {
    throw InputError(fmt::format("cannot listen on {}: not an address of this machine, or in use",
                                 options.listen),
                     ErrorCode::kUnreachable);
  }
  {
    const std::lock_guard lock(mutex);
    serving = true;
  }
  update_health();
  watcher = std::thread([this] { watch(); });
}

void Coordinator::Impl::update_health() {
  const std::lock_guard lock(mutex);
  if (!serving) return;
  const bool ready = router.group().has_value();
  grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
  health->SetServingStatus("", ready);
  health->SetServingStatus(v1::Inference::service_full_name(), ready);
}

void Coordinator::Impl::on_attached(const GroupInfo& info) {
  spdlog::info("worker group attached: model {}, {} rank(s), max_model_len {}", model.name(),
               info.tensor_parallel_size, info.max_model_len);
  update_health();
  if (options.on_group_attached) options.on_group_attached(info);
  changed.notify_all();
}

void Coordinator::Impl::on_lost(const std::string& why) {
  bool expected;
  {
    const std::lock_guard lock(mutex);
    expected = stopping;
  }
  if (expected) {
    spdlog::info("worker group ended");
  } else {
    spdlog::warn("{}", why);
  }
  update_health();
  if (options.on_group_lost) options.on_group_lost(why);
  changed.notify_all();
}

void Coordinator::Impl::watch() {
  std::unique_lock lock(mutex);
  while (!stopped) {
    changed.wait_for(lock, kWatchPeriod);
    lock.unlock();
    router.drop_silent_group(options.leader_silence);
    streams.reset_stalled(options.client_stall);
    lock.lock();
  }
}

void Coordinator::Impl::shutdown(milliseconds grace, const std::string& why) {
  {
    const std::lock_guard lock(mutex);
    if (!serving || std::exchange(stopping, true)) return;
    serving = false;
  }
  router.drain(why);
  server->GetHealthCheckService()->Shutdown();
  streams.wait_empty(steady_clock::now() + grace);
  router.stop_group();
  {
    std::unique_lock lock(mutex);
    const auto until = steady_clock::now() + kStopLimit;
    while (router.group() && changed.wait_until(lock, until) == std::cv_status::no_timeout) {
    }
  }
  streams.wait_empty(steady_clock::now() + kStopLimit);  // each tells its client how it ended
  server->Shutdown(std::chrono::system_clock::now() + kCancelLimit);
  server->Wait();
  {
    const std::lock_guard lock(mutex);
    stopped = true;
  }
  changed.notify_all();
  watcher.join();
}

Coordinator::Coordinator(CoordinatorOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {
  impl_->start();
}

Coordinator::~Coordinator() { shutdown(milliseconds(0)); }

int Coordinator::port() const { return impl_->port; }
const std::string& Coordinator::served_model_name() const { return impl_->model.name(); }
bool Coordinator::ready() const { return impl_->router.group().has_value(); }
size_t Coordinator::unfinished() const { return impl_->router.unfinished(); }
void Coordinator::shutdown(milliseconds grace, const std::string& why) {
  impl_->shutdown(grace, why);
}

void Coordinator::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [this] { return impl_->stopped; });
}

}  // namespace octet
