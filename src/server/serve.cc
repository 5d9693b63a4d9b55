#include "server/serve.h"

#include "rt/host.h"
#include "rt/posix_error.h"
#include "rt/real.h"
#include "rt/signals.h"
#include "server/log.h"
#include "server/wire_resp.h"
#include "server/wire_store.h"

namespace quipu::server {
namespace {

constexpr int64_t kStoreCheckUs = 100'000;
constexpr uint64_t kFilesMax = 4096;      // descriptors kept for the store's files and the process itself
constexpr int64_t kDrainUs = 25'000'000;  // service managers kill after 30 s

ServeEnd EndOf(const Status& status) {
  if (rt::IsDeviceFailure(status)) return ServeEnd::kIo;
  switch (status.code()) {
    case Code::kAlreadyExists:
      return ServeEnd::kLocked;
    case Code::kDataLoss:
      return ServeEnd::kDamaged;
    case Code::kInvalidArgument:
      return ServeEnd::kConfig;
    case Code::kStorageFull:
      return ServeEnd::kIo;
    default:
      return ServeEnd::kOs;
  }
}

ServeResult Failed(const Status& status, ServeEnd end) { return {.end = end, .status = status}; }

// One loop and what lives on it.
struct Lane {
  std::unique_ptr<rt::Loop> loop;
  store::EventStore* store = nullptr;
  std::unique_ptr<RespPort> port;
  rt::Timer store_timer;
};

// From listening to the closed store. Decisions are made on the first lane; each lane's things are touched on its own.
//
//   running -> ports closing -> stores closing -> workers finishing -> loops stopped
//
// Each arrow waits for all lanes. From "workers finishing" on everything is on disk.
class Service {
 public:
  Service(std::vector<std::unique_ptr<Lane>>* lanes, Log* log, std::map<std::string, Setting> settings,
          std::function<Result<LoadedConfig>()> reload)
      : lanes_(*lanes), log_(log), settings_(std::move(settings)), reload_(std::move(reload)) {
    for (const std::unique_ptr<Lane>& lane : lanes_) {
      lane->store_timer.on_fire = [this, l = lane.get()] { CheckStore(l); };
      lane->loop->Arm(&lane->store_timer, lane->loop->MonoMicros() + kStoreCheckUs);
    }
    drain_timer_.on_fire = [this] {
      log_->Write(LogLevel::kWarn, "server.drain_over", "the time for draining is over: ending at once");
      log_->Finish();
      rt::ExitAtOnce(0);
    };
    signals_ = rt::WatchSignals(first(), {SIGTERM, SIGINT, SIGHUP}, [this](int number) { OnSignal(number); });
  }
  ~Service() {
    for (const std::unique_ptr<Lane>& lane : lanes_) lane->loop->Disarm(&lane->store_timer);
    first()->Disarm(&drain_timer_);
  }

  // Instead of serving: closes what is open, with this result.
  void EndWith(ServeResult result) {
    result_ = std::move(result);
    Drain();
  }

  ServeResult Run() {
    std::vector<std::unique_ptr<rt::Thread>> threads;
    for (size_t i = 1; i < lanes_.size(); ++i) {
      threads.push_back(std::make_unique<rt::Thread>([loop = lanes_[i]->loop.get()] { loop->Run(); }));
    }
    first()->Run();
    threads.clear();
    return result_;
  }

 private:
  rt::Loop* first() { return lanes_.front()->loop.get(); }

  void OnSignal(int number) {
    if (number == SIGHUP) {
      if (!draining_) Reload();
      return;
    }
    if (draining_) {
      log_->Write(LogLevel::kWarn, "server.killed", "a second signal: ending at once");
      log_->Finish();
      rt::ExitAtOnce(128 + number);
    }
    log_->Write(LogLevel::kInfo, "server.draining", "stopping: answering what is in flight",
                {{"signal", std::to_string(number)}});
    Drain();
  }

  void Reload() {
    rt::NotifyServiceManager(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", first()->MonoMicros()));
    const Result<LoadedConfig> now = reload_();
    if (!now.ok()) {
      Refuse(std::string(now.status().message()));
    } else if (!now->problems.empty()) {
      for (const std::string& problem : now->problems) Refuse(problem);
    } else {
      log_->SetLevel(now->config.log_level);
      settings_["log.level"] = now->settings.at("log.level");
      for (const auto& [key, setting] : now->settings) {
        if (settings_[key].text == setting.text) continue;
        log_->Write(LogLevel::kWarn, "config.needs_restart", "a key keeps its value until a restart",
                    {{"key", key}, {"source", setting.source}});
      }
      log_->Write(LogLevel::kInfo, "config.reloaded", "the configuration was read again");
    }
    rt::NotifyServiceManager("READY=1");
  }

  void Refuse(const std::string& problem) {
    log_->Write(LogLevel::kError, "config.refused", "the configuration does not hold: nothing has changed",
                {{"problem", problem}});
  }

  void CheckStore(Lane* lane) {
    lane->loop->Arm(&lane->store_timer, lane->loop->MonoMicros() + kStoreCheckUs);
    const store::StoreInfo info = lane->store->Info();
    if (info.fenced) first()->Post([this] { OnFenced(); });
    if (lane == lanes_.front().get()) OnBlocked(std::string(info.blocked.message()));
  }

  // Of the first lane, whose store speaks for all: what keeps adds from being taken, empty if nothing does.
  void OnBlocked(std::string reason) {
    if (reason == blocked_) return;
    if (reason.empty()) {
      log_->Write(LogLevel::kInfo, "store.unblocked", "the journal goes on: adds are taken again");
    } else {
      log_->Write(LogLevel::kWarn, "store.blocked", "the journal cannot go on: adds are refused until it can",
                  {{"reason", reason}});
    }
    blocked_ = std::move(reason);
  }

  void OnFenced() {
    if (draining_) return;
    log_->Write(LogLevel::kError, "store.fenced",
                "a write or sync failed: nothing more is accepted; restart to recover");
    result_ = {.end = ServeEnd::kIo, .status = Status(Code::kReadOnly, "the store fenced itself after a failed write")};
    Drain();
  }

  // Runs `step` on every lane, and `then` on the first when each has called its `done`, from its own loop.
  void OnAllLanes(const std::function<void(Lane*, std::function<void()> done)>& step, std::function<void()> then) {
    auto left = std::make_shared<size_t>(lanes_.size());
    auto arrive = [left, then = std::move(then)] {
      if (--*left == 0) then();
    };
    for (const std::unique_ptr<Lane>& lane : lanes_) {
      lane->loop->Post([this, step, l = lane.get(), arrive] { step(l, [this, arrive] { first()->Post(arrive); }); });
    }
  }

  void Drain() {
    draining_ = true;
    rt::NotifyServiceManager("STOPPING=1");
    first()->Arm(&drain_timer_, first()->MonoMicros() + kDrainUs);
    OnAllLanes([](Lane* lane, std::function<void()> done) { lane->port->server().Close(std::move(done)); },
               [this] { CloseStores(); });
  }

  void CloseStores() {
    OnAllLanes(
        [this](Lane* lane, std::function<void()> done) {
          lane->store->Close([this, done = std::move(done)](Status status) {
            if (!status.ok()) {
              first()->Post([this, status = std::move(status)] {
                if (result_.end == ServeEnd::kDone) result_ = {.end = ServeEnd::kIo, .status = status};
              });
            }
            done();
          });
        },
        [this] { FinishWorkers(); });
  }

  // A settle or a compaction may be under way on a worker: the store must outlive it.
  void FinishWorkers() {
    OnAllLanes(
        [](Lane* lane, std::function<void()> done) {
          lane->loop->RunOnWorker(
              rt::Worker::kSettle, [] {},
              [lane, done = std::move(done)] { lane->loop->RunOnWorker(rt::Worker::kFiles, [] {}, done); });
        },
        [this] {
          for (const std::unique_ptr<Lane>& lane : lanes_) lane->loop->Stop();
        });
  }

  std::vector<std::unique_ptr<Lane>>& lanes_;
  Log* log_;
  std::map<std::string, Setting> settings_;  // as they run
  std::function<Result<LoadedConfig>()> reload_;
  rt::Timer drain_timer_;
  std::unique_ptr<rt::Signals> signals_;
  bool draining_ = false;
  std::string blocked_;
  ServeResult result_;
};

// A connection too many must not keep the store from its next file.
size_t ConnectionsWithin(uint64_t descriptors, const Config& config, Log* log) {
  const uint64_t room = descriptors - std::min(kFilesMax, descriptors / 2);
  if (config.connections_max <= room) return config.connections_max;
  log->Write(LogLevel::kWarn, "limits.connections_cut", "fewer connections than configured: the store needs room",
             {{"connections", std::to_string(room)}, {"descriptors", std::to_string(descriptors)}});
  return room;
}

// Every lane listens at the address; the kernel spreads connections. A unix socket has one listener only. The address
// with its real port.
Result<std::string> ListenOnAll(const Config& config, const std::vector<std::unique_ptr<Lane>>& lanes) {
  if (const Status s = lanes.front()->port->Listen(config.listen_resp); !s.ok()) {
    return Status(s.code(), fmt::format("listen.resp: {}", s.message()));
  }
  std::string address = lanes.front()->port->address();
  if (address.starts_with("unix:")) return address;
  for (size_t i = 1; i < lanes.size(); ++i) QUIPU_RETURN_IF_ERROR(lanes[i]->port->Listen(address));
  return address;
}

}  // namespace

ServeResult Serve(const LoadedConfig& loaded, const ServeHooks& hooks) {
  const Config& config = loaded.config;
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
  const size_t count = std::max(1u, config.shards);
  Result<RespPort::Shared> shared = RespPort::MakeShared(config, random.get(), count);
  if (!shared.ok()) return Failed(shared.status(), ServeEnd::kConfig);
  shared->connections_max = ConnectionsWithin(rt::RaiseDescriptorLimit(), config, &log);
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<rt::Loop*> loops;
  for (size_t i = 0; i < count; ++i) {
    lanes.push_back(std::make_unique<Lane>());
    lanes[i]->loop =
        rt::MakeRealLoop({.port_sharing = count == 1 ? rt::PortSharing::kExclusive : rt::PortSharing::kShared});
    loops.push_back(lanes[i]->loop.get());
  }

  const int64_t began = clock->MonoMicros();
  Result<std::unique_ptr<WiredStore>> store = OpenStore(config, disk.get(), random.get(), loops);
  if (!store.ok()) return Failed(store.status(), EndOf(store.status()));
  log.Write(LogLevel::kInfo, "store.recovered", "the data directory is open",
            {{"data_dir", config.data_dir},
             {"shards", std::to_string(count)},
             {"counters", std::to_string((*store)->store(0)->Info().counters)},
             {"duration_ms", std::to_string((clock->MonoMicros() - began) / 1000)}});

  for (size_t i = 0; i < count; ++i) {
    lanes[i]->store = (*store)->store(i);
    lanes[i]->port = std::make_unique<RespPort>(config, *shared, i, loops[i], lanes[i]->store, &log);
  }
  ServeResult result;
  {
    // From here on a signal drains; whoever is told that we are ready may send one at once.
    Service service(&lanes, &log, loaded.settings, hooks.reload);
    const Result<std::string> address = ListenOnAll(config, lanes);
    if (address.ok()) {
      log.Write(LogLevel::kInfo, "resp.listening", "the Redis protocol is served", {{"address", *address}});
      hooks.on_ready(*address);
      rt::NotifyServiceManager("READY=1");
    } else {
      service.EndWith(Failed(address.status(), ServeEnd::kOs));
    }
    result = service.Run();
  }
  for (const std::unique_ptr<Lane>& lane : lanes) lane->port.reset();
  store = Status(Code::kUnavailable, "closed");  // before the loops that its shards live on
  if (result.end == ServeEnd::kDone) log.Write(LogLevel::kInfo, "server.stopped", "everything is answered and on disk");
  return result;
}

}  // namespace quipu::server
