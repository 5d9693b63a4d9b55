// One client: bytes to commands, commands to one batch at the store, results to replies, replies to one write a turn.
//
//   read -> parse -> handlers fill `work` (ops, slots) -> Submit -> format -> held until the batch is done -> write
//
// A batch that is decided at once (every op on this shard) is formatted at once; its bytes wait in the output, behind
// those before them, until the store says that they may be shown. While that goes on further commands are read, so
// many batches may be under way. A batch that is not decided stops parsing (wait_ = kCommit), since its ops point
// into the input; so does a command that needs an answer of the store before it can go on (kScan, kCall). Replies
// leave strictly in the order of the commands.
//
//   kOpen       reads and executes
//   kFinishing  nothing more is read; replies under way are sent
//   kLingering  our side is shut; what the peer still sends is dropped, so that it gets to read the last reply
//   kClosed     no socket; waits for the store's last answer
//
// Threads   The loop's. The handlers_*.cc call the part marked so.
// Lifetime  Owned by the server. After Close the object stays until the store has answered everything it was asked.
// Cost      Per add: parse, look-up, one op, one slot, one format; no allocation, clock or system call.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/resp/command_table.h"
#include "gateway/resp/errors.h"
#include "gateway/resp/input_buffer.h"
#include "gateway/resp/reply.h"
#include "gateway/resp/resp_parser.h"
#include "gateway/resp/transaction.h"
#include "gateway/resp/work.h"
#include "rt/loop.h"
#include "store/event_store.h"

namespace quipu::resp {

class RespServer;

class Connection final : public rt::SocketHandler {
 public:
  enum class Life : uint8_t { kOpen, kFinishing, kLingering, kClosed };
  enum class ReplyMode : uint8_t { kOn, kOff, kSkipNext };

  // What CLIENT shows and sets.
  struct Identity {
    uint64_t id = 0;
    std::string address;
    std::string local_address;
    std::string name;
    std::string lib_name;
    std::string lib_version;
    int64_t opened_us = 0;
    int64_t active_us = 0;
    bool no_evict = false;
    bool no_touch = false;
  };

  // Where the replies stood before a command, to see what it wrote.
  struct Mark {
    size_t literals = 0;
    size_t output = 0;
  };

  Connection(RespServer* server, std::unique_ptr<rt::Socket> socket, uint64_t id);
  ~Connection() override;

  void OnReadable() override;
  void OnWritable() override;

  // ---- for the server
  void Flush();                         // at the end of a turn: one write
  void Tick(int64_t now_us);            // a few times a second: limits that have a duration
  void Close(std::string_view reason);  // at once
  void Resume();                        // goes on parsing after the output has drained
  bool idle_at_store() const { return pending_calls_ == 0; }
  bool dirty = false;  // on the server's list

  // ---- for handlers: answering
  // The place for a reply that needs no op.
  ReplyBuffer& reply();
  // An error reply; what the command has asked of the store so far is dropped.
  void Fail(std::string_view text);
  void FailArity(const CommandSpec& spec);
  // Inside a slot's format: where it writes, and the reply to an op that failed.
  ReplyBuffer& out() { return out_; }
  void FailOp(Code code);

  // ---- for handlers: asking the store
  // A new op for `key`, valid until the next one; null (and an error reply) if the key is no counter name.
  store::Op* AddOp(store::OpKind kind, std::string_view key);
  // The same for field f of the group k; `composed` stays valid until the batch is decided.
  store::Op* AddFieldOp(store::OpKind kind, std::string_view group, std::string_view field);
  // One reply from the newest `count` ops.
  void AddSlot(Slot::Format format, size_t count = 1, uint64_t extra = 0);
  // The same for a part of a command that replies later: the first error of its ops becomes step_code().
  void AddSilentSlot(size_t count);
  Code step_code() const { return step_code_; }
  Work& work() { return *EnsureWork(); }
  // What a command has listed so far.
  std::vector<std::string>& listing() { return listing_; }

  using Continue = void (*)(Connection&, Args);
  // Runs `op()` at the store and then `then` with the arguments of the command under way.
  store::ScanOp& scan() { return *scan_; }
  store::ScanOp& NewScan();
  void StartScan(Continue then);
  // Submits what the command has added and goes on with `then` when that is decided.
  void SubmitThen(Continue then);
  // For calls with a callback of their own: parsing stops from BeginCall until the callback calls EndCall, which runs
  // `write` for the reply unless the connection has closed meanwhile.
  void BeginCall();
  template <class Write>
  void EndCall(Write&& write) {
    if (life_ != Life::kClosed) {
      Mark mark = MarkReplies();
      write();
      SealReplies(mark);
    }
    CallEnded();
  }
  // The batch whose slots are being formatted.
  const store::Batch& decided_batch() const { return *decided_batch_; }

  // ---- for handlers: state
  RespServer& server() { return *server_; }
  rt::Loop& loop();
  store::EventStore& store();
  Identity& identity() { return identity_; }
  const CommandSpec* command() const { return command_; }
  Args args() const { return args_; }
  Transaction& transaction() { return transaction_; }
  NamespaceId ns() const { return ns_; }
  void SetNamespace(NamespaceId ns) { ns_ = ns; }
  Protocol protocol() const { return out_.protocol(); }
  void SetProtocol(Protocol protocol);
  bool authenticated() const { return authenticated_; }
  void SetAuthenticated(bool authenticated);
  // From the next command on; kOn also for the reply to this one.
  void SetReplyMode(ReplyMode mode);
  void FinishAfterReplies(std::string_view reason);
  void ResetState();
  Life life() const { return life_; }
  bool waiting() const { return wait_ != Wait::kNone; }
  size_t input_bytes() const { return input_.size(); }
  size_t output_bytes() const { return out_.size(); }
  size_t memory_bytes() const;
  void RunTransaction();  // EXEC: see transaction.h

 private:
  enum class Wait : uint8_t { kNone, kCommit, kScan, kCall };
  // connection.cc: from bytes to commands
  void ProcessInput();
  bool NextCommand();
  bool Dispatch();               // false: the open work has to be decided first
  const CommandSpec* Resolve();  // the command named by args_; null after an error reply
  void FailUnknown();
  void Reject(const CommandSpec& spec, std::string_view error);
  void Queue(const CommandSpec& spec);
  void Run(const CommandSpec& spec, Continue step);
  Mark MarkReplies() const;
  void SealReplies(const Mark& mark);
  void CallEnded();
  void Unblock();

  // connection_commit.cc: from ops to replies
  Work* EnsureWork();
  bool HasOpenWork() const { return work_ != nullptr && !work_->slots.empty(); }
  void SubmitWork();
  void Submit();
  void Decided(Commit* commit);  // formats
  void FormatWork();
  void DropWork();
  void CommitDone(Commit* commit);
  void ReplaceByError(Commit* commit);
  void FailLarge(const Commit& commit);
  void NoteSlow(const Commit& commit);
  void PrefetchTransaction();
  void FinishTransaction();

  // connection_output.cc: from replies to bytes
  void MarkDirty();
  void UpdateInterest();
  size_t Sendable() const;
  void DiscardInput();
  void BeginLinger();

  RespServer* const server_;
  std::unique_ptr<rt::Socket> socket_;
  RespParser parser_;
  InputBuffer input_;
  ReplyBuffer out_;
  uint64_t out_base_ = 0;  // place in the stream of the first byte of out_
  Identity identity_;

  Life life_ = Life::kOpen;
  Wait wait_ = Wait::kNone;
  ReplyMode reply_mode_ = ReplyMode::kOn;
  bool authenticated_ = true;
  bool input_ended_ = false;  // the peer shut its side
  bool write_blocked_ = false;
  bool paused_ = false;    // the output is over its limit
  bool resuming_ = false;  // Resume is posted
  bool read_interest_ = true;
  bool write_interest_ = false;
  bool have_command_ = false;    // args_ hold a command that is not executed yet
  bool protocol_error_ = false;  // in the place of a command
  bool processing_ = false;      // ProcessInput is on the stack
  bool muted_ = false;           // the command under way gets no reply
  std::string_view close_reason_ = "client";

  NamespaceId ns_ = kDefaultNamespace;
  const CommandSpec* command_ = nullptr;  // the one under way
  Args args_;
  Transaction transaction_;
  Work* work_ = nullptr;    // open, or at the store undecided
  size_t slotted_ops_ = 0;  // ops of work_ that have a slot
  Commit* undecided_ = nullptr;
  const store::Batch* decided_batch_ = nullptr;
  Commit* first_commit_ = nullptr;  // decided, their bytes held, in order
  Commit* last_commit_ = nullptr;
  Continue continue_ = nullptr;
  std::unique_ptr<store::ScanOp> scan_;
  std::vector<std::string> listing_;
  Code step_code_ = Code::kOk;
  int pending_calls_ = 0;  // commits, scans and calls that the store still owes
  int64_t output_over_since_us_ = 0;
  int64_t written_us_ = 0;  // when the peer last took something
  int64_t linger_until_us_ = 0;
  size_t lingered_bytes_ = 0;
};

}  // namespace quipu::resp
