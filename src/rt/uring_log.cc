#include "rt/uring_log.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "rt/real_loop.h"

// A build for the benchmarks defines it: every write begins so much later, as if its sync took longer.
#ifndef QUIPU_SYNC_DELAY_US
#define QUIPU_SYNC_DELAY_US 0
#endif

namespace quipu::rt {
namespace {

constexpr bool kDelayed = QUIPU_SYNC_DELAY_US > 0;
constexpr unsigned kEntriesPerWrite = kDelayed ? 2 : 1;

// Completions need no interrupt of the loop's thread: it enters the kernel every turn anyway (COOP_TASKRUN, since
// 5.19).
int InitRing(io_uring* ring, unsigned entries) {
  const int rc = ::io_uring_queue_init(entries, ring, IORING_SETUP_COOP_TASKRUN);
  if (rc != -EINVAL) return rc;
  return ::io_uring_queue_init(entries, ring, 0);
}

// Puts off the write that is prepared next; others go on meanwhile. Nothing is reported when it is over.
void PrepareDelay(io_uring* ring) {
  static __kernel_timespec delay{.tv_sec = 0, .tv_nsec = QUIPU_SYNC_DELAY_US * 1000LL};
  io_uring_sqe* const entry = ::io_uring_get_sqe(ring);
  QUIPU_ASSERT(entry != nullptr, "the submission queue is full");
  ::io_uring_prep_timeout(entry, &delay, 0, IORING_TIMEOUT_ETIME_SUCCESS);
  ::io_uring_sqe_set_flags(entry, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
}

}  // namespace

bool UringRing::Allowed() {
  io_uring ring{};
  if (InitRing(&ring, 1) != 0) return false;
  ::io_uring_queue_exit(&ring);
  return true;
}

UringRing::UringRing(RealLoop* loop) : loop_(loop) {
  const int rc = InitRing(&ring_, kInFlightMax * kEntriesPerWrite);
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
  // Entries for as many writes as there are records, and no record has more than one write that is not submitted.
  if (kDelayed) PrepareDelay(&ring_);
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
