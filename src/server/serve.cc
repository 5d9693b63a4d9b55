#include "server/serve.h"

#include "rt/host.h"
#include "rt/real.h"
#include "rt/signals.h"
#include "server/log.h"
#include "server/wire_resp.h"
#include "server/wire_store.h"

namespace quipu::server {
namespace {

constexpr int64_t kFenceCheckUs = 100'000;

ServeEnd EndOf(const Status& status) {
  switch (status.code()) {
    case Code::kAlreadyExists:
      return ServeEnd::kLocked;
    case Code::kDataLoss:
      return ServeEnd::kDamaged;
    case Code::kInvalidArgument:
    case Code::kNotFound:
      return ServeEnd::kConfig;
    case Code::kStorageFull:
      return ServeEnd::kIo;
    default:
      return ServeEnd::kOs;
  }
}

ServeResult Failed(const Status& status, ServeEnd end) { return {.end = end, .status = status}; }

// From listening to the closed store. Everything on the loop.
class Service {
 public:
  Service(rt::Loop* loop, RespPort* port, store::EventStore* store, Log* log)
      : loop_(loop), port_(port), store_(store), log_(log) {
    fence_timer_.on_fire = [this] { CheckFence(); };
  }
  ~Service() { loop_->Disarm(&fence_timer_); }

  ServeResult Run() {
    const std::unique_ptr<rt::Signals> signals =
        rt::WatchSignals(loop_, {SIGTERM, SIGINT}, [this](int number) { OnSignal(number); });
    loop_->Arm(&fence_timer_, loop_->MonoMicros() + kFenceCheckUs);
    loop_->Run();
    return result_;
  }

 private:
  void OnSignal(int number) {
    if (draining_) {
      log_->Write(LogLevel::kWarn, "server.killed", "a second signal: ending at once");
      rt::ExitAtOnce(128 + number);
    }
    log_->Write(LogLevel::kInfo, "server.draining", "stopping: answering what is in flight",
                {{"signal", std::to_string(number)}});
    Drain();
  }

  void CheckFence() {
    loop_->Arm(&fence_timer_, loop_->MonoMicros() + kFenceCheckUs);
    if (draining_ || !store_->Info().fenced) return;
    log_->Write(LogLevel::kError, "store.fenced",
                "a journal write failed: nothing more is accepted; restart to recover");
    result_ = {.end = ServeEnd::kIo, .status = Status(Code::kReadOnly, "the store fenced itself after a failed write")};
    Drain();
  }

  void Drain() {
    draining_ = true;
    rt::NotifyServiceManager("STOPPING=1");
    port_->server().Close([this] { store_->Close([this](Status status) { OnClosed(std::move(status)); }); });
  }

  void OnClosed(Status status) {
    if (!status.ok() && result_.end == ServeEnd::kDone) result_ = {.end = ServeEnd::kIo, .status = std::move(status)};
    loop_->Stop();
  }

  rt::Loop* loop_;
  RespPort* port_;
  store::EventStore* store_;
  Log* log_;
  rt::Timer fence_timer_;
  bool draining_ = false;
  ServeResult result_;
};

}  // namespace

ServeResult Serve(const Config& config, const std::function<void(const std::string& address)>& on_ready) {
  rt::IgnoreWriteSignals();
  const std::unique_ptr<rt::Clock> clock = rt::MakeRealClock();
  const std::unique_ptr<rt::Random> random = rt::MakeRealRandom();
  Log log(config.log_level, config.log_format, clock.get());
  if (config.journal_backend == JournalBackend::kUring && !rt::IoUringAllowed()) {
    return Failed(Status(Code::kUnavailable, "journal.backend = uring, but this kernel does not allow io_uring"),
                  ServeEnd::kOs);
  }
  const bool thread = config.journal_backend == JournalBackend::kThread;
  const std::unique_ptr<rt::Disk> disk =
      rt::MakeRealDisk({.log_writes = thread ? rt::LogWrites::kThread : rt::LogWrites::kAuto});
  const std::unique_ptr<rt::Loop> loop = rt::MakeRealLoop();

  const int64_t began = clock->MonoMicros();
  Result<std::unique_ptr<WiredStore>> store = OpenStore(config, disk.get(), random.get(), loop.get());
  if (!store.ok()) return Failed(store.status(), EndOf(store.status()));
  store::EventStore* const events = (*store)->store();
  log.Write(LogLevel::kInfo, "store.recovered", "the data directory is open",
            {{"data_dir", config.data_dir},
             {"counters", std::to_string(events->Info().counters)},
             {"duration_ms", std::to_string((clock->MonoMicros() - began) / 1000)}});

  Result<std::unique_ptr<RespPort>> port = RespPort::Make(config, loop.get(), random.get(), events, &log);
  if (!port.ok()) return Failed(port.status(), ServeEnd::kConfig);
  if (const Status status = (*port)->Listen(config.listen_resp); !status.ok()) return Failed(status, ServeEnd::kOs);
  const std::string address = (*port)->address();
  log.Write(LogLevel::kInfo, "resp.listening", "the Redis protocol is served", {{"address", address}});
  on_ready(address);
  rt::NotifyServiceManager("READY=1");

  const ServeResult result = Service(loop.get(), port->get(), events, &log).Run();
  if (result.end == ServeEnd::kDone) log.Write(LogLevel::kInfo, "server.stopped", "everything is answered and on disk");
  return result;
}

}  // namespace quipu::server
