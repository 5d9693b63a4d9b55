#include "gateway/resp/connection.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/assert.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"
#include "gateway/resp/server.h"

namespace quipu::resp {
namespace {

constexpr size_t kShownNameBytes = 128;  // of a command that we do not know

std::string ArityError(const CommandSpec& spec) {
  return fmt::format("ERR wrong number of arguments for '{}' command", CommandTable::Get().FullName(spec));
}

}  // namespace

Connection::Connection(RespServer* server, std::unique_ptr<rt::Socket> socket, uint64_t id)
    : server_(server), socket_(std::move(socket)), parser_(server->options().parser), input_(server->blocks()) {
  identity_.id = id;
  identity_.address = socket_->peer_address();
  identity_.local_address = socket_->local_address();
  identity_.opened_us = identity_.active_us = loop().MonoMicros();
  SetAuthenticated(server->options().password.empty());
}

Connection::~Connection() {
  QUIPU_ASSERT(pending_calls_ == 0, "connection {} still awaits {} answers of the store", identity_.id, pending_calls_);
  if (work_ != nullptr) DropWork();
}

rt::Loop& Connection::loop() { return server_->loop(); }
store::EventStore& Connection::store() { return server_->store(); }

void Connection::OnReadable() {
  if (life_ == Life::kLingering) return DiscardInput();
  if (life_ != Life::kOpen || waiting() || paused_) {
    read_interest_ = false;
    socket_->SetInterest(false, write_interest_);
    return;
  }
  rt::Socket::IoResult got = socket_->Read(input_.Writable());
  if (got.io == rt::Socket::Io::kWouldBlock) return input_.Trim();
  if (got.io == rt::Socket::Io::kClosed) {
    input_ended_ = true;
  } else {
    input_.Filled(got.bytes);
    server_->stats().input_bytes += got.bytes;
    identity_.active_us = loop().MonoMicros();
  }
  ProcessInput();
}

void Connection::OnWritable() {
  write_blocked_ = false;
  MarkDirty();
}

void Connection::Resume() {
  resuming_ = false;
  if (life_ != Life::kOpen || !paused_) return;
  paused_ = false;
  if (!waiting()) ProcessInput();
}

void Connection::ProcessInput() {
  processing_ = true;
  while (life_ == Life::kOpen && !waiting()) {
    if (!have_command_ && !NextCommand()) break;
    if (!Dispatch()) break;
    have_command_ = false;
    if (work_ != nullptr && work_->ops.size() >= kOpsPerBatch && !waiting()) SubmitWork();
  }
  if (life_ != Life::kClosed && !waiting()) SubmitWork();
  processing_ = false;
  if (life_ == Life::kClosed) return;
  if (!waiting()) {
    input_.Trim();
    if (input_ended_ && life_ == Life::kOpen && !paused_) FinishAfterReplies("client");
  }
  MarkDirty();
}

bool Connection::NextCommand() {
  if (out_.size() >= server_->options().output_soft_bytes) {
    paused_ = true;
    return false;
  }
  RespParser::Result result = parser_.Parse(input_.data(), input_.size());
  if (result == RespParser::Result::kNeedMore) {
    input_.Consume(parser_.consumed());
    if (input_.size() < server_->options().request_bytes_max) return false;
    protocol_error_ = true;
  } else if (result == RespParser::Result::kError) {
    protocol_error_ = true;
  } else {
    args_ = parser_.args();
    input_.Consume(parser_.consumed());
  }
  have_command_ = true;
  muted_ = reply_mode_ != ReplyMode::kOn;
  if (reply_mode_ == ReplyMode::kSkipNext) reply_mode_ = ReplyMode::kOn;
  return true;
}

bool Connection::Dispatch() {
  if (protocol_error_) {
    if (HasOpenWork()) SubmitWork();
    if (waiting()) return false;
    muted_ = false;
    size_t request_bytes_max = server_->options().request_bytes_max;
    Fail(fmt::format("ERR Protocol error: {}", input_.size() >= request_bytes_max
                                                   ? fmt::format("request exceeds {} bytes", request_bytes_max)
                                                   : parser_.error()));
    FinishAfterReplies("protocol_error");
    return true;
  }
  Mark mark = MarkReplies();
  command_ = nullptr;
  const CommandSpec* spec = Resolve();
  if (spec == nullptr) {
    transaction_.aborted |= transaction_.queueing();
    SealReplies(mark);
    return true;
  }
  if (transaction_.queueing() && (spec->flags & kImmediate) == 0) {
    Queue(*spec);
    SealReplies(mark);
    return true;
  }
  bool many = (spec->flags & kManyAtomic) != 0 && args_.size() > static_cast<size_t>(std::abs(spec->arity));
  bool alone = many || (spec->flags & kBarrier) != 0;
  if (alone && HasOpenWork()) {
    SubmitWork();
    if (waiting()) return false;
  }
  ServerStats& stats = server_->stats();
  ++stats.commands;
  ++stats.by_command[CommandTable::Get().IndexOf(*spec)].calls;
  command_ = spec;
  step_code_ = Code::kOk;
  if (many) EnsureWork()->atomic = true;
  Run(*spec, spec->handler);
  if (alone && life_ != Life::kClosed && !waiting()) SubmitWork();
  return true;
}

void Connection::Run(const CommandSpec& spec, Continue step) {
  Mark mark = MarkReplies();
  step(*this, args_);
  if (life_ == Life::kClosed) return;
  SealReplies(mark);
  if (work_ != nullptr && work_->first_command == nullptr) work_->first_command = &spec;
}

Connection::Mark Connection::MarkReplies() const {
  return {.literals = work_ == nullptr ? 0 : work_->literals.size(), .output = out_.size()};
}

void Connection::SealReplies(const Mark& mark) {
  auto format = [](Connection& c, const Slot& slot, const store::Op*) {
    c.out_.Raw(c.work_->literals.bytes().substr(slot.extra, slot.count));
  };
  if (work_ != nullptr && work_->literals.size() > mark.literals) {
    work_->slots.push_back({.format = format,
                            .first = static_cast<uint32_t>(work_->ops.size()),
                            .count = static_cast<uint32_t>(work_->literals.size() - mark.literals),
                            .extra = mark.literals,
                            .muted = muted_});
  } else if (muted_ && out_.size() > mark.output) {
    out_.Truncate(mark.output);
  }
}

const CommandSpec* Connection::Resolve() {
  const CommandTable& table = CommandTable::Get();
  const CommandSpec* spec = table.Find(args_[0]);
  if (spec == nullptr) {
    FailUnknown();
    return nullptr;
  }
  if (!spec->subcommands.empty() && (args_.size() > 1 || spec->handler == nullptr)) {
    if (args_.size() < 2) {
      FailArity(*spec);
      return nullptr;
    }
    const CommandSpec* sub = CommandTable::FindSubcommand(*spec, args_[1]);
    if (sub == nullptr) {
      std::string container(spec->name);
      std::transform(container.begin(), container.end(), container.begin(),
                     [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c; });
      Fail(fmt::format("ERR unknown subcommand '{}'. Try {} HELP.", args_[1].substr(0, kShownNameBytes), container));
      return nullptr;
    }
    spec = sub;
  }
  auto given = static_cast<int>(std::min<size_t>(args_.size(), 1u << 30));
  if (spec->arity >= 0 ? given != spec->arity : given < -spec->arity) {
    Reject(*spec, ArityError(*spec));
    return nullptr;
  }
  if (!authenticated_ && (spec->flags & kNoAuth) == 0) {
    Reject(*spec, text::kNoAuth);
    return nullptr;
  }
  const bool is_flush = spec->group == "generic";
  if ((spec->flags & kOff) != 0 && !(is_flush && server_->options().allow_flush)) {
    Reject(*spec, fmt::format("NOPERM User default has no permissions to run the '{}' command{}", table.FullName(*spec),
                              is_flush ? ": resp.allow_flush is false" : ""));
    return nullptr;
  }
  return spec;
}

void Connection::Reject(const CommandSpec& spec, std::string_view error) {
  ++server_->stats().by_command[CommandTable::Get().IndexOf(spec)].rejected;
  if (spec.handler != Exec) return Fail(error);
  // An EXEC that is refused ends the transaction all the same, as in Redis.
  transaction_.Reset();
  transaction_.watched.clear();
  if (error.starts_with("ERR ")) error.remove_prefix(4);
  Fail(fmt::format("EXECABORT Transaction discarded because of: {}", error));
}

void Connection::FailUnknown() {
  // What a browser sends to a port that it was pointed at by somebody else's page: nothing of it may be executed.
  if (EqualsIgnoreCase(args_[0], "post") || EqualsIgnoreCase(args_[0], "host:")) {
    return FinishAfterReplies("protocol_error");
  }
  std::string message =
      fmt::format("ERR unknown command '{}', with args beginning with: ", args_[0].substr(0, kShownNameBytes));
  size_t shown = 0;
  for (size_t i = 1; i < args_.size() && shown < kShownNameBytes; ++i) {
    std::string_view arg = args_[i].substr(0, kShownNameBytes - shown);
    message += fmt::format("'{}' ", arg);
    shown += arg.size() + 3;
  }
  Fail(message);
}

void Connection::Queue(const CommandSpec& spec) {
  if ((spec.flags & kNoMulti) != 0) {
    transaction_.aborted = true;
    return Fail(text::kNotInMulti);
  }
  size_t bytes = 0;
  for (std::string_view arg : args_) bytes += arg.size();
  if (transaction_.bytes() + bytes > server_->options().request_bytes_max) {
    transaction_.aborted = true;
    return Fail(fmt::format("ERR transaction exceeds {} bytes", server_->options().request_bytes_max));
  }
  transaction_.Push(spec, args_);
  reply().Simple("QUEUED");
}

void Connection::Unblock() {
  wait_ = Wait::kNone;
  Continue next = std::exchange(continue_, nullptr);
  if (life_ == Life::kClosed) return;
  if (next != nullptr) {
    processing_ = true;
    if (transaction_.prefetching())
      next(*this, args_);
    else
      Run(*command_, next);
    processing_ = false;
    if (life_ == Life::kClosed) return;
  }
  if (!waiting() && transaction_.prefetching()) PrefetchTransaction();
  if (life_ == Life::kOpen && !waiting())
    ProcessInput();
  else if (life_ != Life::kClosed && !waiting())
    SubmitWork();
  MarkDirty();
}

// ---- for handlers

ReplyBuffer& Connection::reply() {
  if (transaction_.prefetching()) return transaction_.replies;
  if (transaction_.running() || HasOpenWork()) return EnsureWork()->literals;
  return out_;
}

void Connection::Fail(std::string_view text) {
  if (work_ != nullptr) work_->ops.resize(slotted_ops_);
  server_->CountError(text);
  if (command_ != nullptr) ++server_->stats().by_command[CommandTable::Get().IndexOf(*command_)].failed;
  reply().Error(text);
}

void Connection::FailArity(const CommandSpec& spec) { Fail(ArityError(spec)); }

void Connection::FailOp(Code code) {
  server_->CountError(ErrorText(code));
  out_.Error(ErrorText(code));
  if (code == Code::kTooLarge) FinishAfterReplies("too_large");
}

void Connection::SetReplyMode(ReplyMode mode) {
  reply_mode_ = mode;
  if (mode == ReplyMode::kOn) muted_ = false;
}

void Connection::SetProtocol(Protocol protocol) {
  out_.SetProtocol(protocol);
  transaction_.replies.SetProtocol(protocol);
}

void Connection::SetAuthenticated(bool authenticated) {
  authenticated_ = authenticated;
  parser_.SetAuthenticated(authenticated);
}

void Connection::ResetState() {
  transaction_.Reset();
  transaction_.watched.clear();
  SetProtocol(Protocol::kResp2);
  SetAuthenticated(server_->options().password.empty());
  ns_ = kDefaultNamespace;
  reply_mode_ = ReplyMode::kOn;
  identity_.name.clear();
  identity_.no_evict = false;
  identity_.no_touch = false;
}

store::ScanOp& Connection::NewScan() {
  scan_ = std::make_unique<store::ScanOp>();
  scan_->ns = ns_;
  return *scan_;
}

void Connection::StartScan(Continue then) {
  wait_ = Wait::kScan;
  continue_ = then;
  ++pending_calls_;
  scan_->owner = this;
  scan_->on_done = [](store::ScanOp* op) {
    auto c = static_cast<Connection*>(op->owner);
    --c->pending_calls_;
    c->Unblock();
  };
  store().Scan(scan_.get());
}

void Connection::BeginCall() {
  wait_ = Wait::kCall;
  ++pending_calls_;
}

void Connection::CallEnded() {
  --pending_calls_;
  if (processing_)
    wait_ = Wait::kNone;
  else
    Unblock();
}

}  // namespace quipu::resp
