// A cheap load generator for servers that speak RESP: one thread, epoll, every connection keeps one pipelined batch in
// flight. The batch is encoded once; per round only keys and tokens are written over in place, so that the generator's
// core stays below the server's. Replies are counted as lines, never parsed; an error reply ends the run.
//
// Usage    quipu_load --port N [--connections 50] [--pipeline 16] [--seconds 2] [--warmup 0.3] [--keys 1]
//                     [--lines 1] [--once A-B | --pick A-B] [--since MS]
//                     [--interval S] [--rate N] -- WORD...
//          WORD may contain {key} (12 digits below --keys, uniform), {uuid7}, {uuid4} (36 characters).
//          --lines is how many lines one reply has. --once and --pick number the commands: A up to, not with, B, each
//          once and then an end, or uniform picks for --seconds. A command's number settles its {key} (the rest by
//          --keys) and its {uuid4}, so that a later run with --pick sends what a run with --once has sent before; with
//          --since its {uuid7} too, whose time is then MS (since 1970) and a millisecond more every 1,000 numbers.
//          --rate sends N commands a second in all, in batches due at even times, waiting for a free connection where
//          none is: latencies then count from the time that a batch was due.
// Output   one line of JSON. Latencies are those of a whole batch, in microseconds, of the time after the warm-up;
//          `sent` counts everything, the warm-up too. With --interval also a list `intervals`: for each its end by the
//          monotonic clock in ns, operations, and p50, p99 and p99.9.
// Exit     0 done, 1 error reply or lost connection, 2 usage.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

uint64_t UnixMs() {
  return static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch() / std::chrono::milliseconds(1));
}

[[noreturn]] void Fail(int code, const std::string& what) {
  std::fprintf(stderr, "quipu_load: %s\n", what.c_str());
  std::exit(code);
}

// splitmix64: one add, three multiplies and shifts; every 64-bit state gives a full-period stream.
class Chance {
 public:
  explicit Chance(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // Uniform in [0, n), by multiplication; the bias is below n / 2^64.
  uint64_t Below(uint64_t n) { return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64); }

 private:
  uint64_t state_;
};

// Log-linear: 32 steps per power of two, so a quantile is off by at most 3 %.
class Histogram {
 public:
  void Add(uint64_t ns) {
    ++buckets_[Index(ns)];
    ++count_;
    max_ = ns > max_ ? ns : max_;
  }
  double QuantileUs(double q) const {
    uint64_t left = static_cast<uint64_t>(q * static_cast<double>(count_));
    for (size_t i = 0; i < buckets_.size(); ++i) {
      if (left < buckets_[i]) return static_cast<double>(Low(i)) / 1000.0;
      left -= buckets_[i];
    }
    return max_us();
  }
  void Clear() {
    buckets_.fill(0);
    count_ = max_ = 0;
  }
  double max_us() const { return static_cast<double>(max_) / 1000.0; }

 private:
  static size_t Index(uint64_t ns) {
    if (ns < 32) return ns;
    const auto shift = static_cast<size_t>(std::bit_width(ns) - 6);
    return (shift + 1) * 32 + ((ns >> shift) & 31);
  }
  static uint64_t Low(size_t index) { return index < 32 ? index : (32 + index % 32) << (index / 32 - 1); }
  std::array<uint64_t, 64 * 32> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

struct Options {
  int port = 0;
  size_t connections = 50;
  size_t pipeline = 16;
  double seconds = 2;
  double warmup = 0.3;
  uint64_t keys = 1;
  uint64_t lines = 1;
  bool once = false;
  bool pick = false;
  uint64_t first = 0;
  uint64_t end = 0;
  uint64_t since_ms = 0;  // 0: {uuid7} is fresh
  double interval = 0;
  double rate = 0;  // 0: every connection sends as soon as it may
  std::vector<std::string> words;
};

enum class Hole : uint8_t { kKey, kUuid7, kUuid4 };

// One encoded command with the places to write over.
struct Template {
  struct Place {
    size_t offset;
    Hole hole;
  };
  std::string bytes;
  std::vector<Place> places;
};

Template Encode(const std::vector<std::string>& words) {
  constexpr std::array<std::pair<std::string_view, Hole>, 3> kHoles = {
      {{"{key}", Hole::kKey}, {"{uuid7}", Hole::kUuid7}, {"{uuid4}", Hole::kUuid4}}};
  Template made;
  made.bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    std::string text;
    std::vector<Template::Place> places;
    for (size_t i = 0; i < word.size();) {
      bool hole = false;
      for (const auto& [name, kind] : kHoles) {
        if (word.compare(i, name.size(), name) != 0) continue;
        places.push_back({text.size(), kind});
        text.append(kind == Hole::kKey ? 12 : 36, '0');
        i += name.size();
        hole = true;
        break;
      }
      if (!hole) text += word[i++];
    }
    made.bytes += "$" + std::to_string(text.size()) + "\r\n";
    for (const Template::Place& p : places) made.places.push_back({made.bytes.size() + p.offset, p.hole});
    made.bytes += text + "\r\n";
  }
  return made;
}

struct HexPairs {
  std::array<std::array<char, 2>, 256> of{};
  constexpr HexPairs() {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (size_t i = 0; i < 256; ++i) of[i] = {kDigits[i >> 4], kDigits[i & 15]};
  }
};
constexpr HexPairs kHex;

void WriteUuid(char* at, uint64_t high, uint64_t low) {
  for (size_t byte = 0; byte < 16; ++byte) {
    const uint64_t word = byte < 8 ? high >> (56 - 8 * byte) : low >> (120 - 8 * byte);
    std::memcpy(at, kHex.of[word & 255].data(), 2);
    at += 2;
    if (byte == 3 || byte == 5 || byte == 7 || byte == 9) *at++ = '-';
  }
}

void WriteKey(char* at, uint64_t key) {
  for (int digit = 11; digit >= 0; --digit) {
    at[digit] = static_cast<char>('0' + key % 10);
    key /= 10;
  }
}

class Load {
 public:
  explicit Load(Options options)
      : options_(std::move(options)), template_(Encode(options_.words)), chance_(NowNs()), next_(options_.first) {}

  void Run() {
    epoll_ = epoll_create1(0);
    connections_.resize(options_.connections);
    for (size_t i = 0; i < connections_.size(); ++i) Open(i);
    start_ns_ = NowNs();
    measured_from_ns_ = start_ns_ + static_cast<uint64_t>(options_.warmup * 1e9);
    end_ns_ = measured_from_ns_ + static_cast<uint64_t>(options_.seconds * 1e9);
    interval_end_ns_ = measured_from_ns_ + IntervalNs();
    due_ns_ = start_ns_;
    for (Connection& c : connections_) Next(c);
    std::array<epoll_event, 256> events;
    for (;;) {
      StartDue();
      if (live_ == 0) break;
      const timespec wait = Wait();
      const int n = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &wait, nullptr);
      if (n == 0 && free_.empty()) Fail(1, "no reply for 10 s");
      for (int i = 0; i < n; ++i) {
        Connection& c = connections_[events[static_cast<size_t>(i)].data.u32];
        if (events[static_cast<size_t>(i)].events & EPOLLOUT) Flush(c);
        Receive(c);
      }
    }
    Print();
  }

 private:
  struct Connection {
    int fd = -1;
    std::string out;
    size_t batch_bytes = 0;  // of `out`: the last batch of --once may be shorter
    size_t written = 0;
    uint64_t commands = 0;
    uint64_t lines_left = 0;
    bool line_start = true;
    bool waits_for_write = false;
    uint64_t sent_ns = 0;
  };

  struct Interval {
    uint64_t end_ns;
    uint64_t operations;
    double p50_us;
    double p99_us;
    double p999_us;
  };

  void Open(size_t index) {
    Connection& c = connections_[index];
    c.fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(options_.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
      Fail(1, "connect to port " + std::to_string(options_.port) + ": " + std::strerror(errno));
    const int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    for (size_t i = 0; i < options_.pipeline; ++i) c.out += template_.bytes;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(index);
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd, &event);
    ++live_;
  }

  void Watch(Connection& c, bool write) {
    if (c.waits_for_write == write) return;
    c.waits_for_write = write;
    epoll_event event{};
    event.events = EPOLLIN | (write ? EPOLLOUT : 0U);
    event.data.u32 = static_cast<uint32_t>(&c - connections_.data());
    epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd, &event);
  }

  uint64_t IntervalNs() const { return static_cast<uint64_t>(options_.interval * 1e9); }

  // What a connection without a batch in flight does.
  void Next(Connection& c) {
    if (options_.rate > 0)
      free_.push_back(&c);
    else
      StartBatch(c, NowNs());
  }

  // Starts the batches whose time has come, as far as there are connections.
  void StartDue() {
    const uint64_t now = NowNs();
    const bool over = now >= end_ns_;
    while (!free_.empty() && (over || due_ns_ <= now)) {
      Connection* const c = free_.back();
      free_.pop_back();
      StartBatch(*c, over ? now : due_ns_);
      due_ns_ += static_cast<uint64_t>(1e9 * static_cast<double>(options_.pipeline) / options_.rate);
    }
  }

  timespec Wait() const {
    if (free_.empty()) return {.tv_sec = 10, .tv_nsec = 0};
    const uint64_t now = NowNs(), until = std::min(due_ns_, end_ns_);
    const uint64_t ns = until > now ? until - now : 0;
    return {.tv_sec = static_cast<time_t>(ns / 1'000'000'000), .tv_nsec = static_cast<long>(ns % 1'000'000'000)};
  }

  // Writes fresh keys and tokens over the batch and sends it; closes the connection when there is nothing left to send.
  void StartBatch(Connection& c, uint64_t now) {
    uint64_t commands = options_.pipeline;
    if (options_.once) commands = std::min<uint64_t>(commands, options_.end - next_);
    if (commands == 0 || (!options_.once && now >= end_ns_)) {
      close(c.fd);
      --live_;
      return;
    }
    const uint64_t ms = UnixMs();
    for (uint64_t i = 0; i < commands; ++i) {
      char* command = c.out.data() + i * template_.bytes.size();
      const uint64_t number = NextNumber();
      for (const Template::Place& p : template_.places) Fill(command + p.offset, p.hole, ms, number);
    }
    c.commands = commands;
    c.batch_bytes = commands * template_.bytes.size();
    c.written = 0;
    c.lines_left = commands * options_.lines;
    c.sent_ns = now;
    sent_ += commands;
    Flush(c);
  }

  uint64_t NextNumber() {
    if (options_.once) return next_++;
    return options_.pick ? options_.first + chance_.Below(options_.end - options_.first) : chance_.Next();
  }

  void Fill(char* at, Hole hole, uint64_t ms, uint64_t number) {
    constexpr uint64_t kVariant = uint64_t{1} << 63;
    switch (hole) {
      case Hole::kKey:
        WriteKey(at, number % options_.keys);
        break;
      case Hole::kUuid7: {
        constexpr uint64_t kNumbersPerMs = 1000;
        const bool fresh = options_.since_ms == 0;
        Chance own(fresh ? chance_.Next() : number);
        const uint64_t time = fresh ? ms : options_.since_ms + number / kNumbersPerMs;
        WriteUuid(at, (time << 16) | 0x7000 | (own.Next() & 0xfff), kVariant | (own.Next() >> 2));
        break;
      }
      case Hole::kUuid4: {
        Chance own(number);
        WriteUuid(at, (own.Next() & ~uint64_t{0xf000}) | 0x4000, kVariant | (own.Next() >> 2));
        break;
      }
    }
  }

  void Flush(Connection& c) {
    while (c.written < c.batch_bytes) {
      const ssize_t n = send(c.fd, c.out.data() + c.written, c.batch_bytes - c.written, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) Fail(1, std::string("send: ") + std::strerror(errno));
      if (n < 0) break;
      c.written += static_cast<size_t>(n);
    }
    Watch(c, c.written < c.batch_bytes);
  }

  void Receive(Connection& c) {
    const ssize_t n = recv(c.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) Fail(1, "the server closed a connection");
    const char* at = buffer_.data();
    const char* const end = at + n;
    while (at < end) {
      if (c.line_start && *at == '-') Fail(1, "error reply: " + std::string(at, std::min<size_t>(120, end - at)));
      const char* newline = static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
      c.line_start = newline != nullptr;
      if (newline == nullptr) break;
      if (c.lines_left == 0) Fail(1, "more lines than asked for: is --lines right?");
      --c.lines_left;
      at = newline + 1;
    }
    if (c.lines_left > 0) return;
    const uint64_t now = NowNs();
    if (now >= measured_from_ns_ && now < end_ns_) {
      measured_ += c.commands;
      latency_.Add(now - c.sent_ns);
      if (options_.interval > 0) AddToInterval(c, now);
    }
    Next(c);
  }

  void AddToInterval(const Connection& c, uint64_t now) {
    while (now >= interval_end_ns_) {
      intervals_.push_back({interval_end_ns_, interval_operations_, interval_.QuantileUs(0.5),
                            interval_.QuantileUs(0.99), interval_.QuantileUs(0.999)});
      interval_operations_ = 0;
      interval_.Clear();
      interval_end_ns_ += IntervalNs();
    }
    interval_operations_ += c.commands;
    interval_.Add(now - c.sent_ns);
  }

  void Print() const {
    const double wall = static_cast<double>(NowNs() - start_ns_) / 1e9;
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    const double rate = static_cast<double>(measured_) / options_.seconds;
    std::printf(
        "{\"ops\": %lu, \"sent\": %lu, \"ops_per_s\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
        "\"max_us\": %.1f, \"wall_s\": %.3f, \"client_cores\": %.3f, \"intervals\": [",
        measured_, sent_, rate, latency_.QuantileUs(0.5), latency_.QuantileUs(0.99), latency_.QuantileUs(0.999),
        latency_.max_us(), wall, (seconds(used.ru_utime) + seconds(used.ru_stime)) / wall);
    for (size_t i = 0; i < intervals_.size(); ++i) {
      const Interval& t = intervals_[i];
      std::printf("%s[%lu, %lu, %.1f, %.1f, %.1f]", i == 0 ? "" : ", ", t.end_ns, t.operations, t.p50_us, t.p99_us,
                  t.p999_us);
    }
    std::puts("]}");
  }

  const Options options_;
  const Template template_;
  Chance chance_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  std::array<char, 1 << 18> buffer_;
  size_t live_ = 0;
  uint64_t next_;
  uint64_t sent_ = 0;
  uint64_t measured_ = 0;
  uint64_t start_ns_ = 0;
  uint64_t measured_from_ns_ = 0;
  uint64_t end_ns_ = 0;
  Histogram latency_;
  std::vector<Connection*> free_;  // with --rate: those without a batch in flight
  uint64_t due_ns_ = 0;
  std::vector<Interval> intervals_;
  Histogram interval_;
  uint64_t interval_operations_ = 0;
  uint64_t interval_end_ns_ = 0;
};

void ParseNumbers(const char* text, std::string_view name, Options& o) {
  char* at = nullptr;
  o.first = std::strtoull(text, &at, 10);
  if (*at != '-' || (o.end = std::strtoull(at + 1, nullptr, 10)) <= o.first)
    Fail(2, std::string(name) + " wants A-B with A < B, not " + text);
  (name == "--once" ? o.once : o.pick) = true;
}

Options Parse(int argc, char** argv) {
  Options o;
  int i = 1;
  for (; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) Fail(2, std::string(name) + " needs a value");
    const char* value = argv[++i];
    const uint64_t number = std::strtoull(value, nullptr, 10);
    if (name == "--port")
      o.port = static_cast<int>(number);
    else if (name == "--connections")
      o.connections = number;
    else if (name == "--pipeline")
      o.pipeline = number;
    else if (name == "--seconds")
      o.seconds = std::strtod(value, nullptr);
    else if (name == "--warmup")
      o.warmup = std::strtod(value, nullptr);
    else if (name == "--keys")
      o.keys = number;
    else if (name == "--lines")
      o.lines = number;
    else if (name == "--since")
      o.since_ms = number;
    else if (name == "--interval")
      o.interval = std::strtod(value, nullptr);
    else if (name == "--rate")
      o.rate = std::strtod(value, nullptr);
    else if (name == "--once" || name == "--pick")
      ParseNumbers(value, name, o);
    else
      Fail(2, "unknown option " + std::string(name));
  }
  for (++i; i < argc; ++i) o.words.emplace_back(argv[i]);
  if (o.port == 0 || o.connections == 0 || o.pipeline == 0 || o.keys == 0 || o.lines == 0 || o.words.empty() ||
      (o.once && o.pick))
    Fail(2, "usage: quipu_load --port N [options] -- WORD...; see bench/README.md");
  return o;
}

}  // namespace

int main(int argc, char** argv) { std::make_unique<Load>(Parse(argc, argv))->Run(); }
