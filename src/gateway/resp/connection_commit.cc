#include <fmt/core.h>

#include "base/assert.h"
#include "gateway/resp/connection.h"
#include "gateway/resp/server.h"
#include "model/name.h"

namespace quipu::resp {
Work* Connection::EnsureWork() {
  if (work_ == nullptr) {
    work_ = server_->TakeWork();
    work_->literals.SetProtocol(out_.protocol());
    slotted_ops_ = 0;
  }
  return work_;
}

void Connection::DropWork() {
  server_->GiveWork(std::exchange(work_, nullptr));
  slotted_ops_ = 0;
}

store::Op* Connection::AddOp(store::OpKind kind, std::string_view key) {
  if (!IsCounterName(key)) [[unlikely]] {
    Fail(fmt::format("ERR invalid counter name: {}", CheckCounterName(key).message()));
    return nullptr;
  }
  store::Op& op = EnsureWork()->ops.emplace_back();
  op.kind = kind;
  op.ns = ns_;
  op.name = key;
  op.hash = HashCounter(ns_, key);
  if (kind == store::OpKind::kAdd || kind == store::OpKind::kSet) op.group = store::GroupRole::kMember;
  return &op;
}

store::Op* Connection::AddFieldOp(store::OpKind kind, std::string_view group, std::string_view field) {
  std::string_view name = EnsureWork()->arena.Concat({group, "[", field, "]"});
  bool grouped = !group.empty() && SplitGrouped(name).group.size() == group.size();
  if (IsCounterName(name) && !grouped) {
    Fail("ERR invalid counter name: the key of a group is not empty, neither key nor field holds [ or ]");
    return nullptr;
  }
  return AddOp(kind, name);
}

void Connection::AddSlot(Slot::Format format, size_t count, uint64_t extra) {
  Work& work = *work_;
  QUIPU_DASSERT(work.ops.size() - slotted_ops_ == count, "{} ops, {} in the slot", work.ops.size() - slotted_ops_,
                count);
  work.slots.push_back({.format = format,
                        .first = static_cast<uint32_t>(work.ops.size() - count),
                        .count = static_cast<uint32_t>(count),
                        .extra = extra,
                        .muted = muted_});
  slotted_ops_ = work.ops.size();
}

void Connection::AddSilentSlot(size_t count) {
  auto note_error = [](Connection& c, const Slot& slot, const store::Op* ops) {
    for (uint32_t i = 0; i < slot.count && c.step_code_ == Code::kOk; ++i) c.step_code_ = ops[i].code;
  };
  AddSlot(note_error, count);
  work_->slots.back().muted = false;
  work_->slots.back().silent = true;
}

void Connection::SubmitThen(Continue then) {
  SubmitWork();
  if (waiting())
    continue_ = then;
  else if (life_ != Life::kClosed)
    then(*this, args_);
}

void Connection::SubmitWork() {
  if (work_ == nullptr) return;
  if (work_->slots.empty()) return DropWork();
  if (work_->ops.empty() && !work_->has_source) {
    FormatWork();
    return DropWork();
  }
  Submit();
}

void Connection::Submit() {
  Work& work = *work_;
  Commit* commit = server_->TakeCommit();
  commit->owner = this;
  commit->started_us = loop().MonoMicros();
  commit->first_command = work.first_command;
  commit->commands = work.slots.size();
  commit->first_key_bytes = 0;
  if (!work.ops.empty()) {
    std::string_view key = work.ops[0].name.substr(0, sizeof(commit->first_key));
    std::memcpy(commit->first_key, key.data(), key.size());
    commit->first_key_bytes = key.size();
  }
  commit->replies = 0;
  for (const Slot& slot : work.slots) commit->replies += slot.muted || slot.silent ? 0 : 1;
  if (work.transaction) commit->replies = muted_ ? 0 : 1;
  store::Batch& batch = commit->batch;
  batch = {};
  batch.ops = work.ops;
  batch.atomic = work.atomic;
  batch.source = work.has_source ? &work.source : nullptr;
  batch.owner = commit;
  batch.on_done = [](store::Batch* done) {
    auto of = static_cast<Commit*>(done->owner);
    of->owner->CommitDone(of);
  };
  ++pending_calls_;
  ++server_->stats().commits;
  store().Submit(&batch);
  if (!batch.decided) {
    undecided_ = commit;
    wait_ = Wait::kCommit;
    return;
  }
  Decided(commit);
  if (last_commit_ == nullptr)
    first_commit_ = commit;
  else
    last_commit_->next = commit;
  last_commit_ = commit;
}

void Connection::Decided(Commit* commit) {
  bool watch_failed = work_->watched > 0 && commit->batch.code == Code::kConditionNotMet;
  commit->begin = out_base_ + out_.size();
  decided_batch_ = &commit->batch;
  if (commit->batch.commit_bytes > 0)
    FailLarge(*commit);
  else if (!watch_failed)
    FormatWork();
  else if (!muted_)
    out_.NullArray();
  decided_batch_ = nullptr;
  commit->end = out_base_ + out_.size();
  if (work_->transaction) transaction_.Reset();
  DropWork();
}

// The records of a batch that is one command or one transaction do not fit one commit.
void Connection::FailLarge(const Commit& commit) {
  const std::string sizes = fmt::format("may need {} bytes in one commit, at most {} are allowed",
                                        commit.batch.commit_bytes, store().Info().commit_bytes_max);
  const std::string text = work_->transaction ? "EXECABORT the transaction " + sizes
                                              : fmt::format("{} it {}", ErrorPrefix(Code::kTooLarge), sizes);
  for (size_t i = 0; i < commit.replies; ++i) {
    server_->CountError(text);
    out_.Error(text);
  }
  if (!work_->transaction) FinishAfterReplies("too_large");
}

void Connection::FormatWork() {
  Work& work = *work_;
  if (work.transaction && !muted_) out_.Array(work.slots.size());
  for (const Slot& slot : work.slots) {
    if (!slot.muted) slot.format(*this, slot, work.ops.data() + slot.first);
  }
}

void Connection::CommitDone(Commit* commit) {
  --pending_calls_;
  bool was_undecided = commit == undecided_;
  if (life_ == Life::kClosed) {
    if (was_undecided) undecided_ = nullptr;
    return server_->GiveCommit(commit);
  }
  NoteSlow(*commit);
  if (!was_undecided) {
    if (!commit->batch.status.ok()) ReplaceByError(commit);
    commit->done = true;
    while (first_commit_ != nullptr && first_commit_->done) {
      Commit* first = first_commit_;
      first_commit_ = first->next;
      server_->GiveCommit(first);
    }
    if (first_commit_ == nullptr) last_commit_ = nullptr;
    return MarkDirty();
  }
  undecided_ = nullptr;
  if (commit->batch.status.ok()) {
    Decided(commit);
  } else {
    for (size_t i = 0; i < commit->replies; ++i) FailOp(commit->batch.status.code());
    if (work_->transaction) transaction_.Reset();
    DropWork();
  }
  server_->GiveCommit(commit);
  Unblock();
}

void Connection::ReplaceByError(Commit* commit) {
  ReplyBuffer errors;
  std::string_view text = ErrorText(commit->batch.status.code());
  for (size_t i = 0; i < commit->replies; ++i) {
    errors.Error(text);
    server_->CountError(text);
  }
  size_t old_bytes = commit->end - commit->begin;
  out_.Replace(commit->begin - out_base_, commit->end - out_base_, errors.bytes());
  for (Commit* later = commit->next; later != nullptr; later = later->next) {
    later->begin += errors.size() - old_bytes;
    later->end += errors.size() - old_bytes;
  }
}

void Connection::NoteSlow(const Commit& commit) {
  int64_t micros = loop().MonoMicros() - commit.started_us;
  if (commit.first_command == nullptr) return;
  CommandStats& stats = server_->stats().by_command[CommandTable::Get().IndexOf(*commit.first_command)];
  stats.micros += micros;
  stats.timed += commit.commands;
  int64_t limit = server_->options().slowlog_slower_than_us;
  if (limit < 0 || micros < limit) return;
  SlowEntry entry{.wall_s = loop().WallMicros() / 1'000'000, .micros = micros, .address = identity_.address};
  entry.client_name = identity_.name;
  entry.args.push_back(CommandTable::Get().FullName(*commit.first_command));
  if (commit.first_key_bytes > 0) entry.args.emplace_back(commit.first_key, commit.first_key_bytes);
  if (commit.commands > 1) entry.args.push_back(fmt::format("... ({} more commands)", commit.commands - 1));
  server_->AddSlow(std::move(entry));
}

void Connection::RunTransaction() {
  transaction_.stage = Transaction::Stage::kPrefetch;
  transaction_.exec = command_;
  transaction_.current = 0;
  PrefetchTransaction();
}

void Connection::PrefetchTransaction() {
  Transaction& t = transaction_;
  while (t.current < t.queue.size()) {
    Transaction::Queued& queued = t.queue[t.current];
    if ((queued.spec->flags & kScans) != 0) {
      if (!queued.started) {
        queued.started = true;
        queued.reply_begin = t.replies.size();
        command_ = queued.spec;
        args_ = t.ArgsOf(queued);
        queued.spec->handler(*this, args_);
      }
      if (waiting()) return;
      queued.reply_end = t.replies.size();
      queued.replied = queued.reply_end > queued.reply_begin;
    }
    ++t.current;
  }
  FinishTransaction();
}

void Connection::FinishTransaction() {
  Transaction& t = transaction_;
  t.stage = Transaction::Stage::kRun;
  Work& work = *EnsureWork();
  work.atomic = true;
  work.transaction = true;
  work.first_command = t.exec;
  for (const Transaction::Watched& watched : t.watched) {
    store::Op& op = work.ops.emplace_back();
    op.kind = store::OpKind::kCheckVersion;
    op.ns = watched.ns;
    op.name = work.arena.Concat({watched.name});
    op.hash = HashCounter(watched.ns, watched.name);
    op.expected_version = watched.version;
    op.expected_created = watched.created;
    op.group = store::GroupRole::kWhole;
  }
  work.watched = work.ops.size();
  slotted_ops_ = work.ops.size();
  t.watched.clear();
  ServerStats& stats = server_->stats();
  for (t.current = 0; t.current < t.queue.size(); ++t.current) {
    const Transaction::Queued& queued = t.queue[t.current];
    ++stats.commands;
    ++stats.by_command[CommandTable::Get().IndexOf(*queued.spec)].calls;
    command_ = queued.spec;
    args_ = t.ArgsOf(queued);
    Mark mark = MarkReplies();
    if (queued.replied) {
      work.literals.Raw(t.replies.bytes().substr(queued.reply_begin, queued.reply_end - queued.reply_begin));
    } else {
      queued.spec->handler(*this, args_);
    }
    SealReplies(mark);
  }
  t.stage = Transaction::Stage::kNone;
  if (work.slots.empty() && work.ops.empty()) {
    if (!muted_) out_.Array(0);
    t.Reset();
    return DropWork();
  }
  if (work.ops.empty()) {
    FormatWork();
    t.Reset();
    return DropWork();
  }
  if (work.ops.size() > store::kBatchOpsMax) {
    const size_t ops = work.ops.size();
    t.Reset();
    DropWork();
    return Fail(
        fmt::format("EXECABORT {} operations in one transaction, at most {} are allowed", ops, store::kBatchOpsMax));
  }
  Submit();
}

}  // namespace quipu::resp
