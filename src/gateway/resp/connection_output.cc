#include "base/assert.h"
#include "gateway/resp/connection.h"
#include "gateway/resp/server.h"

namespace quipu::resp {
namespace {

constexpr int64_t kLingerMicros = 2'000'000;
constexpr size_t kLingerBytesMax = 1u << 20;
constexpr size_t kIdleOutputBytes = 16 * 1024;  // an idle connection's output buffer is given back beyond this

}  // namespace

void Connection::MarkDirty() {
  if (dirty || life_ == Life::kClosed) return;
  dirty = true;
  server_->AddDirty(this);
}

size_t Connection::Sendable() const {
  return first_commit_ == nullptr ? out_.size() : first_commit_->begin - out_base_;
}

void Connection::Flush() {
  if (life_ == Life::kClosed) return;
  if (!write_blocked_) {
    size_t sendable = Sendable();
    if (sendable > 0) {
      rt::Socket::IoResult sent = socket_->Write(std::span<const char>(out_.bytes().data(), sendable));
      if (sent.io == rt::Socket::Io::kClosed) return Close("client");
      size_t bytes = sent.io == rt::Socket::Io::kOk ? sent.bytes : 0;
      out_.Consume(bytes);
      out_base_ += bytes;
      if (bytes > 0) written_us_ = loop().MonoMicros();
      server_->stats().output_bytes += bytes;
      write_blocked_ = bytes < sendable;
    }
  }
  const RespOptions& options = server_->options();
  if (out_.size() > options.output_hard_bytes) return Close("output_limit");
  if (Sendable() < options.output_soft_bytes)
    output_over_since_us_ = 0;
  else if (output_over_since_us_ == 0)
    output_over_since_us_ = loop().MonoMicros();
  if (paused_ && !resuming_ && out_.size() < options.output_soft_bytes / 2) {
    resuming_ = true;
    loop().Post([server = server_, id = identity_.id] {
      if (Connection* c = server->Find(id)) c->Resume();
    });
  }
  if (life_ == Life::kFinishing && !waiting() && out_.empty() && first_commit_ == nullptr) return BeginLinger();
  UpdateInterest();
}

void Connection::UpdateInterest() {
  // A wait for the store is short: as long as the peer sends nothing, its interest is left as it is.
  bool read =
      waiting() ? read_interest_ : (life_ == Life::kOpen && !paused_ && !input_ended_) || life_ == Life::kLingering;
  if (read == read_interest_ && write_blocked_ == write_interest_) return;
  read_interest_ = read;
  write_interest_ = write_blocked_;
  socket_->SetInterest(read_interest_, write_interest_);
}

void Connection::Tick(int64_t now_us) {
  const RespOptions& options = server_->options();
  if (life_ == Life::kLingering && now_us >= linger_until_us_) return Close(close_reason_);
  if (output_over_since_us_ != 0 && now_us - output_over_since_us_ >= options.output_soft_us)
    return Close("output_limit");
  bool stuck = life_ == Life::kFinishing && write_blocked_ && now_us - written_us_ >= options.output_soft_us;
  if (stuck) return Close(close_reason_);
  bool idle = life_ == Life::kOpen && !waiting() && first_commit_ == nullptr;
  if (idle && options.idle_timeout_us > 0 && now_us - identity_.active_us >= options.idle_timeout_us)
    return Close("idle");
  if (out_.empty() && out_.capacity() > kIdleOutputBytes) out_.Release();
}

void Connection::FinishAfterReplies(std::string_view reason) {
  if (life_ != Life::kOpen) return;
  life_ = Life::kFinishing;
  close_reason_ = reason;
  MarkDirty();
}

void Connection::BeginLinger() {
  if (input_ended_) return Close(close_reason_);
  life_ = Life::kLingering;
  linger_until_us_ = loop().MonoMicros() + kLingerMicros;
  input_.Clear();
  socket_->ShutdownWrite();
  UpdateInterest();
}

void Connection::DiscardInput() {
  rt::Socket::IoResult got = socket_->Read(input_.Writable());
  if (got.io == rt::Socket::Io::kOk) lingered_bytes_ += got.bytes;
  if (got.io == rt::Socket::Io::kClosed || lingered_bytes_ > kLingerBytesMax) return Close(close_reason_);
  input_.Clear();
}

void Connection::Close(std::string_view reason) {
  if (life_ == Life::kClosed) return;
  life_ = Life::kClosed;
  close_reason_ = reason;
  socket_.reset();
  continue_ = nullptr;
  if (!waiting() && work_ != nullptr) DropWork();
  // Those that are not done yet come back by themselves.
  for (Commit* commit = first_commit_; commit != nullptr;) {
    Commit* next = commit->next;
    if (commit->done) server_->GiveCommit(commit);
    commit = next;
  }
  first_commit_ = last_commit_ = nullptr;
  server_->observer().OnClosed(identity_.address, reason);
  server_->Closed(this);
}

size_t Connection::memory_bytes() const {
  return sizeof(*this) + input_.capacity() + out_.capacity() + transaction_.bytes();
}

}  // namespace quipu::resp
