#include "server/wire_check.h"

#include "rt/real.h"
#include "store/embedded/check.h"

namespace quipu::server {

Result<CheckOutcome> CheckStore(const std::string& data_dir) {
  const std::unique_ptr<rt::Disk> disk = rt::MakeRealDisk();
  QUIPU_ASSIGN_OR_RETURN(const store::CheckReport r, store::CheckDataDirectory(disk.get(), data_dir, {}));
  CheckOutcome out;
  out.figures = {{"bytes", r.bytes},
                 {"journal_frames", r.journal_frames},
                 {"journal_records", r.journal_records},
                 {"events", r.events},
                 {"tokens", r.tokens},
                 {"counters", r.counters},
                 {"recounted_full", r.recounted_full},
                 {"recounted_partial", r.recounted_partial},
                 {"namespaces", r.namespaces},
                 {"sources", r.sources},
                 {"findings", r.findings_total}};
  for (const store::CheckFinding& f : r.findings) out.findings.emplace_back(f.place, f.text);
  out.findings_total = r.findings_total;
  return out;
}

}  // namespace quipu::server
