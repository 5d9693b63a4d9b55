// The journal's records: one mutation of one counter each, with the counter's whole state after it. Because a record
// says what the counter *is* now and not only what was added, recovery takes the last record of each counter and reads
// nothing else, and settling needs no earlier checkpoint. Layout with a worked example: docs/internals/journal.md.
//
// Threads   Plain functions and values.
// Memory    Decoded views point into the bytes given.
// Errors    Decode returns false on anything that Encode does not make: each record has one spelling. The caller names
//           file and offset.
// Cost      Encode of a plain add with a UUID token: about 20 ns and 45 bytes plus the name beyond 20.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"
#include "model/token.h"
#include "store/op.h"
#include "store/source.h"

namespace quipu::store {

enum class RecordType : uint8_t {  // on disk; never renumber
  kCounter = 1,                    // a mutation of a counter
  kNamespace = 2,                  // a namespace created or changed: id, name, version, settings as JSON
  kSource = 3,                     // how far a source has been taken; belongs to the group it stands in
  kStep = 4,  // the frame is one shard's part of an atomic step over several: it counts only if all parts are there
};

struct CounterRecord {
  OpKind kind = OpKind::kAdd;
  Outcome outcome = Outcome::kApplied;
  bool existed = false;  // the counter, before
  bool exists = true;    // and after
  bool expired = false;  // a kDelete because the expiry had come
  uint32_t events = 1;   // adds without a token summed into this record
  NamespaceId ns = 0;
  std::string_view name;
  int64_t delta = 0;               // asked (kAdd, kSet)
  int64_t applied = 0;             // value after less value before, modulo 2^64
  int64_t value = 0;               // after
  int64_t expiry_ms = 0;           // after; 0 = none
  Micros event_us = kNoTime;       // kNoTime: the frame's commit time
  Micros last_write_us = kNoTime;  // of the counter, after; kNoTime: the event time
  uint64_t content = 0;            // digest of what was asked; 0 with no token
  TokenForm token_form = TokenForm::kNone;
  std::string_view token;  // as stored: 16 packed bytes, or text for kText
};

struct NamespaceRecord {
  NamespaceId id = 0;
  uint64_t version = 0;
  bool deleted = false;
  Micros tokens_known_since_us = kNoTime;
  std::string_view name;
  std::string_view settings_json;
};

struct SourceRecord {
  uint64_t id[2], anchor[2], fingerprint[2];
  uint64_t offset = 0;
  uint64_t taken = 0, refused = 0;
  Micros updated_us = 0;
  std::string_view label;
  std::vector<SourceMark> marks, ends;
};

// First in its frame, which holds one shard's part of an atomic step and nothing else. A step within one shard needs
// none, because a frame is there as a whole or not at all.
struct StepRecord {
  struct Part {
    uint32_t shard = 0;
    Position position = 0;  // of that shard's step record
  };
  uint64_t id[2] = {0, 0};
  std::vector<Part> parts;  // of all participants, this shard's too
};
inline constexpr size_t kStepPartsMax = 256;

// Upper bound of one encoded record, for the buffer's headroom.
inline constexpr size_t kRecordBytesMax = 4096;
inline constexpr size_t kSettingsBytesMax = 3072;  // of NamespaceRecord::settings_json

// What one record of a counter takes at most; without a token that is less than with one.
constexpr size_t CounterRecordBound(size_t name_bytes, size_t token_bytes) {
  constexpr size_t kFixed = 2 + 3 + 2 + 20 + 21 + 7 + 10;  // flags, ns, name's size, sums, uncommon, expiry, event time
  return kFixed + name_bytes + (token_bytes == 0 ? 0 : 11 + std::max<size_t>(token_bytes, 16));  // form, size, content
}
// The same of the delete that ends an expired counter, of a source's record, and of a step's.
constexpr size_t ExpiredRecordBound(size_t name_bytes) { return 2 + 3 + 2 + name_bytes + 20 + 1; }
inline constexpr size_t kMarkBytesMax = 3 * 10 + 16;
inline constexpr size_t kSourceRecordBytesMax =
    1 + 48 + 4 * 10 + 2 + kSourceLabelBytesMax + 2 + (kSourceMarksMax + kSourceEndsMax) * kMarkBytesMax;
static_assert(kSourceRecordBytesMax <= kRecordBytesMax, "a source with all its marks fits the room of one record");
constexpr size_t StepRecordBound(size_t parts) { return 1 + 16 + 2 + parts * (5 + 10); }

// Where the three fixed-width fields of an add without a token stand, so that the next one can be summed into it in
// place.
struct SumSlots {
  size_t events_at = 0, applied_at = 0, value_at = 0;  // offsets from the record's first byte
};

// Writes the record at `out` (room for kRecordBytesMax) and returns its size. An add without a token gets fixed-width
// sums; `slots`, if given, says where.
size_t EncodeCounter(const CounterRecord& r, Micros frame_us, char* out, SumSlots* slots = nullptr);
size_t EncodeNamespace(const NamespaceRecord& r, char* out);
size_t EncodeSource(const SourceRecord& r, char* out);
SourceRecord ToRecord(const SourceState& state);  // its label is the state's
SourceState ToState(const SourceRecord& r);
size_t EncodeStep(const StepRecord& r, char* out);

struct Record {
  RecordType type = RecordType::kCounter;
  CounterRecord counter;
  NamespaceRecord ns;
  SourceRecord source;
  StepRecord step;
};
// Reads one record at *p, advances *p. False: the bytes are not a record.
bool DecodeRecord(const char** p, const char* end, Micros frame_us, Record* out);

// The name in a counter's record that has been decoded before. Cost: 3 ns.
std::string_view NameOfCounterRecord(const char* record);

inline TokenBytes TokenOf(const CounterRecord& r) { return StoredToken(r.token_form, r.token); }

}  // namespace quipu::store
