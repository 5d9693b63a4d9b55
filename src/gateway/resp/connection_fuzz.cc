// Two connections over the memory engine, fed with any bytes: the input is a list of pieces (one byte: which
// connection, how the store behaves, whether time passes; one byte of length; the bytes). Whatever comes, the server
// stays alive, what it answers is well-formed RESP, and when the peers are gone nothing is left of them.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

// Moves *at behind one reply; false if it is cut short. Anything that is no reply breaks an invariant.
bool SkipReply(std::string_view bytes, size_t* at) {
  size_t end = bytes.find("\r\n", *at);
  if (end == std::string_view::npos) return false;
  char type = bytes[*at];
  std::string_view rest = bytes.substr(*at + 1, end - *at - 1);
  *at = end + 2;
  switch (type) {
    case '+':
    case '-':
    case ':':
    case '_':
    case '#':
      return true;
    case '$':
    case '=':
    case '*':
    case '%':
    case '~':
      break;
    default:
      QUIPU_ASSERT(false, "reply starts with byte {}", static_cast<int>(type));
  }
  long count = std::atol(std::string(rest).c_str());
  if (count < 0) return true;
  if (type == '$' || type == '=') {
    *at += static_cast<size_t>(count) + 2;
    return *at <= bytes.size();
  }
  if (type == '%') count *= 2;
  for (long i = 0; i < count; ++i) {
    if (!SkipReply(bytes, at)) return false;
  }
  return true;
}

void CheckReplies(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size() && SkipReply(bytes, &at)) {
  }
}

void Run(std::string_view input) {
  World w({.databases = {"default"},
           .allow_flush = true,
           .parser = {.elements_max = 200, .bulk_bytes_max = 4096, .inline_bytes_max = 1024},
           .request_bytes_max = 20'000});
  std::unique_ptr<sim::SimClient> clients[2] = {std::move(w.client), w.Connect("127.0.0.1:40001")};
  std::string replies[2];
  bool finished[2] = {false, false};
  while (input.size() >= 2) {
    auto control = static_cast<unsigned char>(input[0]);
    size_t length = std::min<size_t>(static_cast<unsigned char>(input[1]), input.size() - 2);
    std::string_view piece = input.substr(2, length);
    input.remove_prefix(2 + length);
    w.store.undecided = (control & 2) != 0;
    w.store.hold = (control & 4) != 0;
    w.store.outcome = (control & 8) != 0 ? Code::kUnknownOutcome : Code::kOk;
    auto& client = clients[control & 1];
    bool& done = finished[control & 1];
    if ((control & 0x70) == 0x70 && !done) {
      done = true;
      if ((control & 0x80) != 0) {
        client->Reset();
      } else {
        client->ShutdownWrite();
      }
    } else if (!done) {
      client->Send(piece);
    }
    if (!w.store.hold)
      w.Release();
    else
      w.loop.RunFor(2'000);
    for (int i = 0; i < 2; ++i) replies[i] += clients[i]->Take();
  }
  w.store.outcome = Code::kOk;
  w.Release();
  for (int i = 0; i < 2; ++i) {
    if (!finished[i]) clients[i]->ShutdownWrite();
    w.loop.RunFor(100'000);
    replies[i] += clients[i]->Take();
    CheckReplies(replies[i]);
  }
  for (auto& client : clients) client.reset();
  w.loop.RunUntil([&] { return w.server.connections().empty(); }, w.loop.MonoMicros() + 5'000'000);
  QUIPU_ASSERT(w.server.connections().empty(), "{} connections are left", w.server.connections().size());
}

}  // namespace
}  // namespace quipu::resp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quipu::resp::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
