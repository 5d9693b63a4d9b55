// The server's half of exactly-once import, as two calls: which sources are known, and a step of one.
//
// Threads   One owner. Steps are answered in the order they were sent; several may be under way.
// Errors    As client::RespClient: not sent, or unknown; error replies by their code.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "client/resp_client.h"
#include "ingest/aggregator.h"
#include "ingest/digest.h"

namespace quipu::ingest {

// A place in a source's content: the digest of what lies before it, and the records there.
struct Mark {
  uint64_t offset = 0;
  Digest fingerprint;
  uint64_t taken = 0, refused = 0;
  bool operator==(const Mark&) const = default;
};

struct KnownSource {
  Digest id;
  Mark stands;              // everything before it is counted
  std::vector<Mark> marks;  // places before that, in any order
  std::string label;
};

struct Step {
  Digest id, anchor;
  Digest fingerprint;  // of the content before `to`
  uint64_t from = 0, to = 0;
  std::string_view label;
  bool new_reader = false;      // the first of this reader: where the source stands is worth remembering
  uint64_t refused = 0;         // records of this step that are in none of its entries
  std::span<const Mark> marks;  // from < offset <= to, ascending; taken and refused count from `from` on
};

struct RefusedEntry {
  size_t index = 0;  // among the entries sent
  std::string reason;
};
struct StepAnswer {
  bool applied = false;
  uint64_t offset = 0;  // where the source stands now
  std::vector<RefusedEntry> refused;
};

class IngestLink {
 public:
  virtual Result<std::vector<KnownSource>> FindSources(Digest anchor) = 0;
  // Entries whose name is refused are left out; index in the answer counts those that were sent.
  virtual Status SendStep(const Step& step, const Aggregator& sums) = 0;
  virtual Result<StepAnswer> ReceiveAnswer() = 0;
  // Forgets what is under way; the next call starts on a new connection.
  virtual void Reset() = 0;
  virtual ~IngestLink() = default;
};

// What the server's answers to these calls say. kInternal, kInvalidArgument: not what such an answer looks like. Of an
// error reply, AnswerOfReply gives the error.
Result<std::vector<KnownSource>> SourcesOfReply(const client::Reply& reply);
Result<StepAnswer> AnswerOfReply(const client::Reply& reply);

// Over a connection: QUIPU.SOURCES and QUIPU.INGEST. Each call may take timeout_us.
std::unique_ptr<IngestLink> MakeIngestLink(client::RespClient* client, const rt::Clock* clock, int64_t timeout_us);

}  // namespace quipu::ingest
