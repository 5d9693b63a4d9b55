// Counts the records of a content exactly once, however often it is imported, under whatever name, compressed or not,
// and whoever is killed in between.
//
// The content is cut into steps of whole records. A step carries the adds of its records, summed up, and the source's
// offset before and after; the server commits both in one, and only if the source stands at `from`. So a step that may
// have happened is never guessed about: after any doubt the importer asks where the source stands and goes on from
// there. Up to two steps are under way, so that the next is parsed while the server commits the last.
//
// Threads   One owner; everything blocks.
// Memory    About 20 MiB, whatever the size of the content; plus 16 bytes for each counter touched.
// Errors    What ends an import: kInvalidArgument (options), kNotFound, kDataLoss (damaged compression: of a file
// before
//           anything is counted, of a pipe where it is met; a record that does not end),
//           kConditionNotMet (a content that may be a beginning of a source that was taken further, or a line that has
//           grown), kUnavailable (a content that changes while it is read) and unknown outcomes that last longer than
//           the patience, the observer's errors, kStorageFull for as long, and every other refusal of the server. What
//           was taken until then stays taken; the same import again goes on from there.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "client/retry.h"
#include "ingest/content_reader.h"
#include "ingest/ingest_link.h"
#include "ingest/record_parser.h"
#include "ingest/source_identity.h"
#include "ingest/step_cutter.h"

namespace quipu::ingest {

struct ImportTotals {
  uint64_t records_taken = 0;            // counted now
  uint64_t records_already = 0;          // counted by an earlier import
  uint64_t records_refused = 0;          // now
  uint64_t records_already_refused = 0;  // by an earlier import
  uint64_t counters = 0;                 // different names touched now
  uint64_t steps = 0;
  uint64_t bytes_left = 0;  // of a last line without its end, not taken
};

class ImportObserver {
 public:
  // After each step: totals of this content, and how much of the stored file is read (of 0: unknown).
  virtual void OnProgress(const ImportTotals& /*totals*/, uint64_t /*stored_read*/, uint64_t /*stored_bytes*/) {}
  // A record that is not counted: what cannot be read as one before its step is sent, what the server refuses after.
  // Once in an import, but again in the next one if this one ends before the step is committed. An error ends the
  // import; the step is not sent.
  virtual Status OnRefused(const BadRecord& /*record*/) { return OkStatus(); }
  // What OnRefused was told must outlast a crash from here on.
  virtual Status KeepRefused() { return OkStatus(); }
  // The server refused so many among these lines; the answer that said which is lost.
  virtual void OnRefusedUnknown(uint64_t /*records*/, uint64_t /*first_line*/, uint64_t /*last_line*/) {}
  virtual ~ImportObserver() = default;
};

struct ImportOptions {
  bool final_line = false;           // take a last line that has no line end
  int64_t patience_us = 10'000'000;  // without progress
  size_t step_bytes = 4u << 20;      // of content; fewer when the step is full before
  // Together these keep a step inside one frame of the store's journal.
  size_t step_entries = 7'000;
  size_t step_name_bytes = 512u << 10;
};

class Importer {
 public:
  Importer(RecordParser* parser, Digest specification, IngestLink* link, client::RetryHost host, ImportOptions options,
           ImportObserver* observer);
  ~Importer();

  // One file, or "-" for standard input. `label` is what people see of the source on the server.
  Status Import(const std::string& path, const std::string& label);
  // Of the last Import. Also where it failed they say what the server has taken, as far as its answers came.
  const ImportTotals& totals() const;
  // It failed for a reason that another file would meet too: the server's or the observer's.
  bool concerns_all_files() const;

 private:
  class Run;
  RecordParser* parser_;
  Digest specification_;
  IngestLink* link_;
  client::RetryHost host_;
  ImportOptions options_;
  ImportObserver* observer_;
  std::unique_ptr<Run> run_;
};

}  // namespace quipu::ingest
