#include "rt/uring_log.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "rt/real_loop.h"

namespace quipu::rt {
namespace {

// Completions need no interrupt of the loop's thread: it enters the kernel every turn anyway (COOP_TASKRUN, since
// 5.19).
int InitRing(io_uring* ring, unsigned entries) {
  const int rc = ::io_uring_queue_init(entries, ring, IORING_SETUP_COOP_TASKRUN);
  if (rc != -EINVAL) return rc;
  return ::io_uring_queue_init(entries, ring, 0);
}

}  // namespace

bool UringRing::Allowed() {
  io_uring ring{};
  if (InitRing(&ring, 1) != 0) return false;
  ::io_uring_queue_exit(&ring);
  return true;
}

UringRing::UringRing(RealLoop* loop) : loop_(loop) {
  const int rc = InitRing(&ring_, kInFlightMax);
  QUIPU_ASSERT(rc == 0, "a second ring was refused after the first was allowed, errno {}", -rc);
  for (InFlight& record : records_) free_ = &(record = {.next_free = free_});
  // Edge-triggered, because every turn reaps: a level would be one more event for completions that are gone.
  loop_->Register(ring_.ring_fd, EPOLLIN | EPOLLET, nullptr);
}

UringRing::~UringRing() {
  loop_->Unregister(ring_.ring_fd);
  ::io_uring_queue_exit(&ring_);
}

void UringRing::Write(UringLogFile* file, LogFile::WriteOp* op) {
  InFlight* const record = free_;
  QUIPU_ASSERT(record != nullptr, "more than {} log writes in flight", kInFlightMax);
  // As many entries as records, and each record has at most one entry that is not submitted.
  io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
  QUIPU_ASSERT(entry != nullptr, "the submission queue is full");
  free_ = record->next_free;
  *record = {.op = op, .file = file};
  ::io_uring_prep_write(entry, file->target_.fd.get(), op->data.data(), static_cast<unsigned>(op->data.size()),
                        op->offset);
  entry->rw_flags = RWF_DSYNC;
  ::io_uring_sqe_set_data(entry, record);
  Submit();
}

void UringRing::Submit() {
  const int rc = ::io_uring_submit(&ring_);
  unsubmitted_ = ::io_uring_sq_ready(&ring_) != 0;
  if (!unsubmitted_) return;
  QUIPU_ASSERT(rc >= 0 || rc == -EAGAIN || rc == -EBUSY || rc == -EINTR, "io_uring_submit failed, errno {}", -rc);
  loop_->Wake();
}

void UringRing::Reap() {
  for (io_uring_cqe* done = nullptr; ::io_uring_peek_cqe(&ring_, &done) == 0;) {
    auto* const record = static_cast<InFlight*>(::io_uring_cqe_get_data(done));
    LogFile::WriteOp* const op = record->op;
    UringLogFile* const file = record->file;
    op->status = LogWriteStatus(file->target_, *op, done->res);
    ::io_uring_cqe_seen(&ring_, done);
    record->next_free = free_;
    free_ = record;
    --file->in_flight_;
    op->on_done(op);
  }
  if (unsubmitted_) Submit();
}

UringLogFile::~UringLogFile() { QUIPU_ASSERT(in_flight_ == 0, "{}: {} writes in flight", target_.path, in_flight_); }

void UringLogFile::Write(WriteOp* op) {
  CheckLogWrite(target_, *op);
  ++in_flight_;
  ring_->Write(this, op);
}

}  // namespace quipu::rt
