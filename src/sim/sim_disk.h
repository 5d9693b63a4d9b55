// A disk from one seed: a page cache that reads see at once, and a medium that power loss leaves behind.
//
// Model     WriteAt goes to 4 KiB pages in the cache. Sync makes the data and the size of that file durable; names
// (create,
//           rename, remove, MakeDir) become durable only with SyncDir of their directory. The system may write any page
//           back early. LogFile writes become durable when they complete, several in flight in any order.
//           PowerLoss keeps, loses or tears (512-byte sectors, any subset) each unsynced page and each log write in
//           flight, and keeps or loses each unsynced name (a rename may leave both names), one by one; a file that had
//           grown may show zeros or garbage there. Its size may be the old one, the new one or between.
//           A Sync that fails leaves its pages clean: reads show them, no later Sync writes them, power loss takes
//           them.
// Time      Log writes complete on the loop after a drawn latency; blocking calls charge SimClock::Block.
// Order     CrashAt/PowerOff, then destroy what ran on the disk, then PowerLoss or Restart. Handles from before fail
// with
//           kUnavailable. Without power every call fails and nothing reaches the medium.
// Threads   One, the loop's. The disk outlives its handles and locks.
// Errors    Those of rt::Disk; injected ones say "simulated". Counts every call and every injected fault.
// Cost      A page write copies 4 KiB; an all-zero page costs nothing; a copy of the disk one pointer a page.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rt/disk.h"
#include "sim/fault_plan.h"
#include "sim/paged_bytes.h"
#include "sim/sim_clock.h"
#include "sim/sim_random.h"
#include "sim/trace.h"

namespace quipu::sim {

class SimDisk final : public rt::Disk {
 public:
  // `log_alignment` is what LogFile::alignment answers: 512 to 4096.
  SimDisk(SimClock* clock, Trace* trace, uint64_t seed, size_t log_alignment = kPageBytes);
  ~SimDisk() override;

  // ---- rt::Disk
  Result<std::unique_ptr<rt::File>> Open(const std::string& path, rt::OpenMode mode) override;
  Result<std::unique_ptr<rt::LogFile>> OpenLog(const std::string& path, rt::Loop* loop) override;  // a SimLoop
  Result<std::unique_ptr<rt::FileLock>> Lock(const std::string& path) override;
  Result<std::unique_ptr<rt::FileLock>> LockShared(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status MakeDir(const std::string& path) override;
  Status RemoveDir(const std::string& path) override;
  Status SyncDir(const std::string& path) override;
  bool Exists(const std::string& path) override;
  bool IsDir(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& dir) override;
  Result<rt::DiskSpace> Space(const std::string& path) override;

  // ---- faults
  FaultPlan& plan() { return plan_; }
  void Script(ScriptedFault fault) { scripts_.push_back(std::move(fault)); }
  size_t scripts_left() const { return scripts_.size(); }
  void ClearScripts() { scripts_.clear(); }
  const DiskCounts& counts() const { return counts_; }
  // Called with a line for each call but looks, and what was injected; for people who replay a seed.
  void SetLog(std::function<void(const std::string&)> log) { log_ = std::move(log); }
  // Files whose path contains this enter the trace by size, not by content: for a library that stamps its files with
  // random names.
  void TraceOnlySizesOf(std::string path_part) { only_sizes_ = std::move(path_part); }
  // Calls so far, in the numbering of CrashAt.
  uint64_t calls() const { return calls_; }
  // Power goes with the n-th call, which fails already; 0 = never.
  void CrashAt(uint64_t call) { crash_at_ = call; }
  void PowerOff() { off_ = true; }
  bool off() const { return off_; }
  // Power is back: what the medium kept is what there is.
  void PowerLoss();
  // Only the process died: the page cache is whole; log writes in flight took place or not, sector by sector, and what
  // did is in the page cache.
  void Restart();

  // ---- the medium behind the system's back; the file must exist. All change cache and medium alike.
  void FlipBit(const std::string& path, uint64_t offset, int bit);
  void Overwrite(const std::string& path, uint64_t offset, std::span<const char> data);
  void Cut(const std::string& path, uint64_t size);
  void SwapFiles(const std::string& a, const std::string& b);
  // A misdirected write: page `to_page` of `to` shows what `from` has at from_page.
  void CopyPage(const std::string& from, size_t from_page, const std::string& to, size_t to_page);
  void Lose(const std::string& path);
  // Every file with its size, sorted by path.
  std::vector<std::pair<std::string, uint64_t>> Files() const;
  std::string Content(const std::string& path) const;

  // The whole disk at rest, as reads see it now; Load makes all of it durable and needs no handles to be alive.
  class Image;
  std::shared_ptr<const Image> Save() const;
  void Load(const Image& image);

 private:
  friend class SimFile;
  friend class SimLogFile;
  friend class SimLock;
  struct Inode;
  using InodeRef = std::shared_ptr<Inode>;
  struct InFlight;
  // A name that the directory has and its medium does not yet have (or the other way round).
  struct NameChange {
    InodeRef from_dir;  // null: nothing goes
    std::string from;
    InodeRef to_dir;  // null: nothing comes
    std::string to;
    InodeRef inode;
  };
  struct Place {
    InodeRef dir;  // null: the directory does not exist
    std::string name;
    InodeRef inode;  // null: no such name
  };

  static std::vector<std::string> Split(std::string_view path);
  static std::string LockKey(const std::string& path);
  Place Find(const std::string& path) const;
  InodeRef MustFind(const std::string& path) const;
  InodeRef NewInode(bool is_dir);
  // Counts the call and draws what goes wrong. Without power: the error is in *status.
  Fault Enter(Call call, std::string_view path, bool allocates, Status* status);
  Fault DrawFault(Call call, std::string_view path, bool allocates);
  int64_t DrawLatency(const Latency& latency, Call call);
  void Change(NameChange change);
  void TraceBytes(const std::string& path, std::span<const char> data);
  void Unlink(Inode* inode);
  static void ApplyDurable(const NameChange& change);
  static void ApplyDurableTorn(const NameChange& change);

  Status WriteCache(Inode* inode, const std::string& path, uint64_t offset, std::span<const char> data);
  Status ResizeCache(Inode* inode, const std::string& path, uint64_t size);
  Status SyncInode(Inode* inode, const std::string& path);
  void WriteBack(Inode* inode, size_t page);
  void CompleteLogWrite(const std::shared_ptr<InFlight>& write);
  void WriteThrough(Inode* inode, uint64_t offset, std::span<const char> data);
  void WriteSectors(Inode* inode, const InFlight& write, uint64_t regime);

  void SettleNames();
  void SettleFile(Inode* inode);
  void ForgetHandles();
  void Recount();
  uint64_t FreePages() const;

  SimClock* const clock_;
  Trace* const trace_;
  const size_t log_alignment_;
  SimRandom faults_;
  SimRandom latency_;
  SimRandom power_;
  FaultPlan plan_;
  std::string only_sizes_;
  std::function<void(const std::string&)> log_;
  std::vector<ScriptedFault> scripts_;
  DiskCounts counts_;
  uint64_t calls_ = 0;
  uint64_t crash_at_ = 0;
  bool off_ = false;
  uint64_t generation_ = 0;  // handles of an older one are dead
  uint64_t next_inode_ = 1;
  InodeRef root_;
  std::vector<NameChange> changes_;  // oldest first
  std::map<std::string, int> locks_;  // by path: how many share it, or kExclusive
  uint64_t used_pages_ = 0;
};

}  // namespace quipu::sim
