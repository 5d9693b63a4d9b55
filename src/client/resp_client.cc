#include "client/resp_client.h"

#include <charconv>

#include "client/error_code.h"

namespace quipu::client {
namespace {

constexpr size_t kReceiveBytes = 64u << 10;

void AppendHeader(char kind, size_t number, std::string* out) {
  char text[24];
  text[0] = kind;
  char* end = std::to_chars(text + 1, text + sizeof text, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out->append(text, end);
}

// A request of which bytes were sent and that has no answer may have happened.
Status AsUnknown(const Status& status) {
  if (IsUnknown(status.code())) return status;
  return Status(Code::kUnknownOutcome, fmt::format("sent, but no answer: {}", status.message()));
}

}  // namespace

void EncodeArrayHeader(size_t count, std::string* out) { AppendHeader('*', count, out); }

void EncodeBulk(std::string_view argument, std::string* out) {
  AppendHeader('$', argument.size(), out);
  out->append(argument).append("\r\n");
}

void EncodeCommand(std::span<const std::string_view> arguments, std::string* out) {
  EncodeArrayHeader(arguments.size(), out);
  for (const std::string_view a : arguments) EncodeBulk(a, out);
}

void RespClient::Close() {
  socket_.reset();
  in_.clear();
  in_used_ = 0;
}

Status RespClient::Greet(std::initializer_list<std::string_view> arguments, int64_t deadline_mono_us) {
  std::string out;
  EncodeCommand(std::span(arguments.begin(), arguments.size()), &out);
  size_t sent = 0;
  Status status = socket_->SendAll(out, deadline_mono_us, &sent);
  if (status.ok()) {
    Result<Reply> reply = Receive(deadline_mono_us);
    if (reply.ok() && !reply->is_error()) return OkStatus();
    status = reply.ok() ? StatusOfErrorReply(reply->text) : reply.status();
  }
  Close();
  // Nothing of the caller's request is sent yet.
  if (IsUnknown(status.code())) {
    return Status(Code::kUnavailable, fmt::format("{}: no greeting: {}", options_.address, status.message()));
  }
  return status;
}

Status RespClient::Connect(int64_t deadline_mono_us) {
  Result<std::unique_ptr<rt::BlockingSocket>> socket = rt::BlockingSocket::Connect(options_.address, deadline_mono_us);
  if (!socket.ok()) {
    return socket.code() == Code::kDeadlineExceeded ? Status(Code::kUnavailable, std::string(socket.status().message()))
                                                    : socket.status();
  }
  socket_ = *std::move(socket);
  in_.clear();
  in_used_ = 0;
  if (!options_.password.empty()) {
    QUIPU_RETURN_IF_ERROR(options_.user.empty() ? Greet({"AUTH", options_.password}, deadline_mono_us)
                                                : Greet({"AUTH", options_.user, options_.password}, deadline_mono_us));
  }
  if (!options_.ns.empty()) QUIPU_RETURN_IF_ERROR(Greet({"QUIPU.NS", options_.ns}, deadline_mono_us));
  return OkStatus();
}

Status RespClient::Send(std::string_view encoded, int64_t deadline_mono_us) {
  if (socket_ == nullptr) QUIPU_RETURN_IF_ERROR(Connect(deadline_mono_us));
  size_t sent = 0;
  Status status = socket_->SendAll(encoded, deadline_mono_us, &sent);
  if (status.ok()) return status;
  Close();
  if (sent == 0) return Status(Code::kUnavailable, fmt::format("{}: {}", options_.address, status.message()));
  return AsUnknown(status);
}

Result<Reply> RespClient::Receive(int64_t deadline_mono_us) {
  if (socket_ == nullptr) return Status(Code::kUnknownOutcome, "sent, but the connection is lost");
  for (;;) {
    Reply reply;
    Result<size_t> used = ParseReply(std::string_view(in_).substr(in_used_), &reply);
    if (!used.ok()) {
      Close();
      return AsUnknown(used.status());
    }
    if (*used > 0) {
      in_used_ += *used;
      return reply;
    }
    in_.erase(0, in_used_);
    in_used_ = 0;
    const size_t held = in_.size();
    in_.resize(held + kReceiveBytes);
    Result<size_t> got = socket_->Receive(std::span(in_).subspan(held), deadline_mono_us);
    in_.resize(held + (got.ok() ? *got : 0));
    if (got.ok() && *got > 0) continue;
    Close();
    if (!got.ok()) return AsUnknown(got.status());
    return Status(Code::kUnknownOutcome, "sent, but the server closed the connection before it answered");
  }
}

Result<Reply> RespClient::Call(std::span<const std::string_view> arguments, int64_t deadline_mono_us) {
  std::string out;
  EncodeCommand(arguments, &out);
  QUIPU_RETURN_IF_ERROR(Send(out, deadline_mono_us));
  QUIPU_ASSIGN_OR_RETURN(Reply reply, Receive(deadline_mono_us));
  if (reply.is_error()) return StatusOfErrorReply(reply.text);
  return reply;
}

}  // namespace quipu::client
