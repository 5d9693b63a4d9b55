// The server's half of exactly-once import, as two calls: which sources are known, and a step of one.
//
// Threads   One owner. Steps are answered in the order they were sent; several may be under way.
// Errors    As client::RespClient: not sent, or unknown; error replies by their code.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "client/resp_client.h"
#include "ingest/aggregator.h"
#include "ingest/digest.h"

namespace quipu::ingest {

struct KnownSource {
  Digest id;
  uint64_t offset = 0;  // everything before it is counted
  Digest fingerprint;   // of the content before offset
};

struct Step {
  Digest id, anchor;
  Digest fingerprint;  // of the content before `to`
  uint64_t from = 0, to = 0;
  std::string_view label;
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

// Over a connection: QUIPU.SOURCES and QUIPU.INGEST. Each call may take timeout_us.
std::unique_ptr<IngestLink> MakeIngestLink(client::RespClient* client, const rt::Clock* clock, int64_t timeout_us);

}  // namespace quipu::ingest
