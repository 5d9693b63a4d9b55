// bench: a load generator that costs little beside the server. One thread; each connection has one batch of commands
// under way, whose names and tokens are written over in place.
#include <charconv>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/latency_histogram.h"
#include "model/namespace.h"

namespace quipu::cli {
namespace {

constexpr size_t kKeyDigits = 12;
constexpr size_t kTokenBytes = 36;

enum class TokenKind : uint8_t { kNone, kUuidV7, kUuidV4 };

struct Plan {
  std::string_view command;  // add, incr, get
  TokenKind token = TokenKind::kNone;
  uint64_t keys = 1;
  size_t pipeline = 1;
};

// Reads replies only as far as needed to know where each ends, and keeps the first error.
class ReplyCounter {
 public:
  // How many replies were completed by these bytes.
  size_t Feed(std::string_view bytes) {
    size_t completed = 0;
    while (!bytes.empty()) {
      if (skip_ > 0) {
        const size_t n = std::min(skip_, bytes.size());
        skip_ -= n;
        bytes.remove_prefix(n);
        if (skip_ == 0) completed += Complete();
        continue;
      }
      const size_t end = bytes.find('\n');
      line_.append(bytes.substr(0, end));
      if (end == std::string_view::npos) break;
      bytes.remove_prefix(end + 1);
      completed += Line();
      line_.clear();
    }
    return completed;
  }
  uint64_t errors() const { return errors_; }
  const std::string& first_error() const { return first_error_; }

 private:
  size_t Complete() {
    if (elements_ > 0 && --elements_ > 0) return 0;
    return 1;
  }
  size_t Line() {
    int64_t number = 0;
    std::from_chars(line_.data() + 1, line_.data() + line_.size(), number);
    if (line_[0] == '$' && number >= 0) {
      skip_ = static_cast<size_t>(number) + 2;
      return 0;
    }
    if (line_[0] == '*' && number > 0) {
      elements_ = static_cast<size_t>(number);
      return 0;
    }
    if (line_[0] == '-' && errors_++ == 0) first_error_ = line_.substr(1, line_.size() - 2);
    return Complete();
  }

  std::string line_;
  size_t skip_ = 0;      // bytes of a bulk and its line end
  size_t elements_ = 0;  // of an array, still to come
  uint64_t errors_ = 0;
  std::string first_error_;
};

class BenchConnection {
 public:
  BenchConnection(std::unique_ptr<rt::BlockingSocket> s, const Plan& plan) : socket(std::move(s)), plan_(plan) {
    constexpr std::string_view kKey = "bench:000000000000";
    constexpr std::string_view kToken = "00000000-0000-7000-8000-000000000000";
    static_assert(kToken.size() == kTokenBytes);
    std::vector<std::string_view> arguments = {"QUIPU.ADD", kKey, "1"};
    if (plan.command == "incr") arguments = {"INCR", kKey};
    if (plan.command == "get") arguments = {"GET", kKey};
    if (plan.token != TokenKind::kNone) arguments.insert(arguments.end(), {"TOKEN", kToken});
    client::EncodeCommand(arguments, &batch_);
    stride_ = batch_.size();
    key_at_ = batch_.find(kKey) + kKey.size() - kKeyDigits;
    token_at_ = batch_.find(kToken);
    const std::string one = batch_;
    for (size_t i = 1; i < plan.pipeline; ++i) batch_ += one;
  }

  void Renew(rt::Random* random, int64_t unix_ms) {
    for (size_t i = 0; i < plan_.pipeline; ++i) {
      char* const command = batch_.data() + i * stride_;
      const auto product = static_cast<unsigned __int128>(random->Next()) * plan_.keys;
      auto key = static_cast<uint64_t>(product >> 64);
      for (char* digit = command + key_at_ + kKeyDigits; key != 0; key /= 10)
        *--digit = static_cast<char>('0' + key % 10);
      if (plan_.token != TokenKind::kNone) RenewToken(command + token_at_, random, unix_ms);
    }
    sent = 0;
    waiting = plan_.pipeline;
  }
  std::string_view unsent() const { return std::string_view(batch_).substr(sent); }
  // Keys are written without clearing the digits before them.
  void ClearKeys() {
    for (size_t i = 0; i < plan_.pipeline; ++i) std::memset(batch_.data() + i * stride_ + key_at_, '0', kKeyDigits);
  }

  std::unique_ptr<rt::BlockingSocket> socket;
  size_t sent = 0;
  size_t waiting = 0;
  int64_t began_us = 0;
  bool wants_write = false;
  ReplyCounter replies;

 private:
  static void Hex(uint64_t value, int digits, char* out) {
    for (int i = digits - 1; i >= 0; --i, value >>= 4) out[i] = "0123456789abcdef"[value & 15];
  }
  void RenewToken(char* token, rt::Random* random, int64_t unix_ms) const {
    const uint64_t a = random->Next(), b = random->Next();
    const bool v7 = plan_.token == TokenKind::kUuidV7;
    const uint64_t head = v7 ? static_cast<uint64_t>(unix_ms) : a >> 16;
    Hex(head >> 16, 8, token);
    Hex(head, 4, token + 9);
    Hex((v7 ? 0x7000u : 0x4000u) | (a & 0xFFF), 4, token + 14);
    Hex(0x8000 | (b >> 50), 4, token + 19);
    Hex(b, 12, token + 24);
  }

  Plan plan_;
  std::string batch_;
  size_t stride_ = 0, key_at_ = 0, token_at_ = 0;
};

Status Greet(rt::BlockingSocket* socket, const client::RespOptions& options, int64_t deadline) {
  std::string out;
  size_t expected = 0, sent = 0;
  if (!options.password.empty()) {
    std::vector<std::string_view> auth = {"AUTH", options.password};
    if (!options.user.empty()) auth.insert(auth.begin() + 1, options.user);
    client::EncodeCommand(auth, &out);
    ++expected;
  }
  if (!options.ns.empty()) {
    client::EncodeCommand(std::array<std::string_view, 2>{"QUIPU.NS", options.ns}, &out);
    ++expected;
  }
  if (expected == 0) return OkStatus();
  QUIPU_RETURN_IF_ERROR(socket->SendAll(out, deadline, &sent));
  ReplyCounter replies;
  std::array<char, 512> buffer;
  for (size_t got = 0; got < expected;) {
    QUIPU_ASSIGN_OR_RETURN(const size_t n, socket->Receive(buffer, deadline));
    if (n == 0) return Status(Code::kUnavailable, "the server closed the connection");
    got += replies.Feed({buffer.data(), n});
  }
  if (replies.errors() > 0) return Status(Code::kUnauthenticated, replies.first_error());
  return OkStatus();
}

// The run: from the first batch to the last reply.
class Bench {
 public:
  Bench(Session* session, const Plan& plan, int64_t duration_us)
      : session_(session), plan_(plan), duration_us_(duration_us) {}

  Status Run(size_t clients) {
    for (size_t i = 0; i < clients; ++i) {
      QUIPU_ASSIGN_OR_RETURN(std::unique_ptr<rt::BlockingSocket> socket,
                             rt::BlockingSocket::Connect(session_->connection().address, session_->Deadline()));
      QUIPU_RETURN_IF_ERROR(Greet(socket.get(), session_->connection(), session_->Deadline()));
      connections_.push_back(std::make_unique<BenchConnection>(std::move(socket), plan_));
      poller_.Add(connections_.back()->socket.get(), static_cast<uint32_t>(i));
    }
    began_us_ = session_->clock().MonoMicros();
    live_ = clients;
    for (size_t i = 0; i < clients; ++i) QUIPU_RETURN_IF_ERROR(SendBatch(i, began_us_));
    std::array<uint32_t, 256> ready;
    while (live_ > 0) {
      const size_t n = poller_.Wait(ready, session_->timeout_us() / 1000);
      if (n == 0) return Status(Code::kUnknownOutcome, "no reply in time");
      for (size_t i = 0; i < n; ++i) QUIPU_RETURN_IF_ERROR(Serve(ready[i]));
    }
    return OkStatus();
  }

  double seconds() const { return static_cast<double>(session_->clock().MonoMicros() - began_us_) / 1e6; }
  const LatencyHistogram& latencies() const { return latencies_; }
  uint64_t operations() const { return latencies_.count(); }
  std::pair<uint64_t, std::string> errors() const {
    std::pair<uint64_t, std::string> out;
    for (const auto& c : connections_) {
      out.first += c->replies.errors();
      if (out.second.empty()) out.second = c->replies.first_error();
    }
    return out;
  }

 private:
  Status SendBatch(size_t i, int64_t now) {
    BenchConnection& c = *connections_[i];
    c.ClearKeys();
    c.Renew(&session_->random(), session_->clock().WallMicros() / 1000);
    c.began_us = now;
    return Flush(i);
  }
  Status Flush(size_t i) {
    BenchConnection& c = *connections_[i];
    QUIPU_ASSIGN_OR_RETURN(const size_t n, c.socket->SendSome(c.unsent()));
    c.sent += n;
    const bool wants_write = !c.unsent().empty();
    if (wants_write != std::exchange(c.wants_write, wants_write)) {
      poller_.Change(c.socket.get(), static_cast<uint32_t>(i), wants_write);
    }
    return OkStatus();
  }
  Status Serve(size_t i) {
    BenchConnection& c = *connections_[i];
    if (c.wants_write) QUIPU_RETURN_IF_ERROR(Flush(i));
    const Result<size_t> n = c.socket->Receive(buffer_, 0);
    if (n.code() == Code::kDeadlineExceeded) return OkStatus();  // nothing there: it was ready for writing
    if (!n.ok()) return n.status();
    if (*n == 0) return Status(Code::kUnknownOutcome, "the server closed a connection");
    c.waiting -= std::min(c.waiting, c.replies.Feed({buffer_.data(), *n}));
    if (c.waiting > 0) return OkStatus();
    const int64_t now = session_->clock().MonoMicros();
    latencies_.Add(now - c.began_us, plan_.pipeline);
    if (now - began_us_ < duration_us_) return SendBatch(i, now);
    poller_.Remove(c.socket.get());
    --live_;
    return OkStatus();
  }

  Session* session_;
  const Plan plan_;
  const int64_t duration_us_;
  rt::SocketPoller poller_;
  std::vector<std::unique_ptr<BenchConnection>> connections_;
  size_t live_ = 0;
  int64_t began_us_ = 0;
  LatencyHistogram latencies_;
  std::array<char, 256 << 10> buffer_;
};

Result<Plan> MakePlan(const BenchOptions& o) {
  const auto in_range = [](std::string_view name, int64_t value, int64_t most) {
    if (value >= 1 && value <= most) return OkStatus();
    return Status(Code::kInvalidArgument, fmt::format("--{} {} is outside 1 to {}", name, value, most));
  };
  QUIPU_RETURN_IF_ERROR(in_range("clients", o.clients, 10'000));
  QUIPU_RETURN_IF_ERROR(in_range("pipeline", o.pipeline, 10'000));
  QUIPU_RETURN_IF_ERROR(in_range("keys", o.keys, 999'999'999'999));
  if (o.op != "add" && o.op != "incr" && o.op != "get") {
    return Status(Code::kInvalidArgument, fmt::format("--op `{}` is none of add, incr, get", o.op));
  }
  Plan plan{.command = o.op, .keys = static_cast<uint64_t>(o.keys), .pipeline = static_cast<size_t>(o.pipeline)};
  if (o.token == "uuidv7")
    plan.token = TokenKind::kUuidV7;
  else if (o.token == "uuidv4")
    plan.token = TokenKind::kUuidV4;
  else if (o.token != "none") {
    return Status(Code::kInvalidArgument, fmt::format("--token `{}` is none of none, uuidv7, uuidv4", o.token));
  }
  if (o.op != "add") plan.token = TokenKind::kNone;
  return plan;
}

std::string Millis(int64_t us) { return fmt::format("{:.3f}", static_cast<double>(us) / 1000); }

}  // namespace

int RunBench(const CommonOptions& common, const BenchOptions& options) {
  Result<std::unique_ptr<Session>> session = Session::Make(common);
  if (!session.ok()) return Fail(session.status());
  const Result<Plan> plan = MakePlan(options);
  if (!plan.ok()) return Fail(plan.status());
  const Result<int64_t> duration_us = ParseDurationMicros(options.duration);
  if (!duration_us.ok()) return Fail(duration_us.status());
  const auto bench = std::make_unique<Bench>(session->get(), *plan, *duration_us);
  const Status status = bench->Run(static_cast<size_t>(options.clients));
  if (!status.ok()) return Fail(status);
  const LatencyHistogram& l = bench->latencies();
  const std::vector<Column> columns = {{"op"},
                                       {"operations", ColumnKind::kNumber},
                                       {"ops_per_second", ColumnKind::kNumber},
                                       {"p50_ms", ColumnKind::kNumber},
                                       {"p99_ms", ColumnKind::kNumber},
                                       {"p999_ms", ColumnKind::kNumber},
                                       {"max_ms", ColumnKind::kNumber},
                                       {"errors", ColumnKind::kNumber}};
  const auto [errors, first_error] = bench->errors();
  const double rate = static_cast<double>(bench->operations()) / bench->seconds();
  const std::vector<std::vector<std::string>> rows = {
      {options.op, std::to_string(bench->operations()), fmt::format("{:.0f}", rate), Millis(l.Quantile(0.5)),
       Millis(l.Quantile(0.99)), Millis(l.Quantile(0.999)), Millis(l.max()), std::to_string(errors)}};
  Print(RenderRows((*session)->format(), columns, rows));
  if (errors > 0) Say(fmt::format("quipu: {} error replies; the first: {}", errors, Printable(first_error)));
  return errors > 0 ? kExitFailure : kExitDone;
}

}  // namespace quipu::cli
