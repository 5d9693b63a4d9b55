// The handlers of all commands, named in command_table.cc. A handler runs with its arity checked and either writes a
// reply, adds ops and a slot for their reply, or starts a step that replies when the store has answered. It never
// blocks.
#pragma once
#include "gateway/resp/command_table.h"

namespace quipu::resp {

// handlers_counter.cc
void Incr(Connection& c, Args args);
void Decr(Connection& c, Args args);
void IncrBy(Connection& c, Args args);
void DecrBy(Connection& c, Args args);
void IncrByFloat(Connection& c, Args args);
void Get(Connection& c, Args args);
void MGet(Connection& c, Args args);
void Set(Connection& c, Args args);
void SetNx(Connection& c, Args args);
void SetEx(Connection& c, Args args);
void PSetEx(Connection& c, Args args);
void MSet(Connection& c, Args args);
void GetSet(Connection& c, Args args);
void GetDel(Connection& c, Args args);
void GetEx(Connection& c, Args args);
void Del(Connection& c, Args args);
void Exists(Connection& c, Args args);
void ObjectEncoding(Connection& c, Args args);
void MemoryUsage(Connection& c, Args args);

// handlers_increx.cc
void IncrEx(Connection& c, Args args);

// handlers_expire.cc
void Expire(Connection& c, Args args);
void PExpire(Connection& c, Args args);
void ExpireAt(Connection& c, Args args);
void PExpireAt(Connection& c, Args args);
void Persist(Connection& c, Args args);
void Ttl(Connection& c, Args args);
void PTtl(Connection& c, Args args);
void ExpireTime(Connection& c, Args args);
void PExpireTime(Connection& c, Args args);

// handlers_hash.cc
void HIncrBy(Connection& c, Args args);
void HGet(Connection& c, Args args);
void HMGet(Connection& c, Args args);
void HSet(Connection& c, Args args);
void HMSet(Connection& c, Args args);
void HSetNx(Connection& c, Args args);
void HDel(Connection& c, Args args);
void HExists(Connection& c, Args args);
void HLen(Connection& c, Args args);
void HKeys(Connection& c, Args args);
void HVals(Connection& c, Args args);
void HGetAll(Connection& c, Args args);
void HScan(Connection& c, Args args);
void Type(Connection& c, Args args);

// handlers_scan.cc
void Scan(Connection& c, Args args);
void Keys(Connection& c, Args args);
void DbSize(Connection& c, Args args);
void FlushDb(Connection& c, Args args);
void QuipuTop(Connection& c, Args args);
void QuipuEvents(Connection& c, Args args);

// handlers_multi.cc
void Multi(Connection& c, Args args);
void Exec(Connection& c, Args args);
void Discard(Connection& c, Args args);
void Watch(Connection& c, Args args);
void Unwatch(Connection& c, Args args);

// handlers_connection.cc
void Ping(Connection& c, Args args);
void Echo(Connection& c, Args args);
void Time(Connection& c, Args args);
void Select(Connection& c, Args args);
void Quit(Connection& c, Args args);
void ResetConnection(Connection& c, Args args);
void Auth(Connection& c, Args args);
void Hello(Connection& c, Args args);
void QuipuNs(Connection& c, Args args);

// handlers_client.cc
void ClientId(Connection& c, Args args);
void ClientGetName(Connection& c, Args args);
void ClientSetName(Connection& c, Args args);
void ClientSetInfo(Connection& c, Args args);
void ClientOnOff(Connection& c, Args args);
void ClientReply(Connection& c, Args args);
void ClientInfo(Connection& c, Args args);
void ClientList(Connection& c, Args args);
void ClientKill(Connection& c, Args args);

// handlers_server.cc
void Info(Connection& c, Args args);
void ConfigGet(Connection& c, Args args);
void ConfigSet(Connection& c, Args args);
void ConfigResetStat(Connection& c, Args args);
void SlowlogGet(Connection& c, Args args);
void SlowlogLen(Connection& c, Args args);
void SlowlogReset(Connection& c, Args args);
void LatencyLatest(Connection& c, Args args);
void LatencyHistogram(Connection& c, Args args);
void LatencyReset(Connection& c, Args args);
void Wait(Connection& c, Args args);
void WaitAof(Connection& c, Args args);
void Role(Connection& c, Args args);
void ModuleList(Connection& c, Args args);
void AclWhoAmI(Connection& c, Args args);
void LastSave(Connection& c, Args args);
void ClusterOff(Connection& c, Args args);
void Refused(Connection& c, Args args);

// handlers_command.cc
void Command(Connection& c, Args args);
void CommandCount(Connection& c, Args args);
void CommandList(Connection& c, Args args);
void CommandInfo(Connection& c, Args args);
void CommandDocs(Connection& c, Args args);
void CommandGetKeys(Connection& c, Args args);

// handlers_quipu.cc
void QuipuAdd(Connection& c, Args args);
void QuipuGet(Connection& c, Args args);
void QuipuClear(Connection& c, Args args);
void QuipuToken(Connection& c, Args args);
void QuipuNsList(Connection& c, Args args);
void QuipuNsGet(Connection& c, Args args);
void QuipuNsCreate(Connection& c, Args args);
void QuipuNsSet(Connection& c, Args args);

// handlers_ingest.cc
void QuipuSources(Connection& c, Args args);
void QuipuIngest(Connection& c, Args args);

}  // namespace quipu::resp
