// Keys and values of the settled state, byte by byte (those of events and tokens are in settled_events.h):
// docs/internals/settled.md has the tables and a worked example, test/golden/settled_rows.txt the bytes. Keys sort as
// their parts do. Every value begins with a format version.
//
// Memory    Writers use a buffer of the caller's again and again; decoded views point into what was decoded.
// Errors    Decode: false for anything that Encode cannot have written (bytes from disk are never asserted on).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/embedded/settled.h"

namespace quipu::store {

// ---- keys

// namespace (4, big-endian) | hash (8) | name
void SetCounterKey(const CounterRef& counter, std::string* key);
bool ParseCounterKey(std::string_view key, CounterRef* counter);

// counter key | 0x00 | position of the row's last event (8)
inline constexpr size_t kEventKeySuffix = 9;
void SetEventKey(const CounterRef& counter, Position position, std::string* key);
bool ParseEventKey(std::string_view key, std::string_view* counter_key, Position* position);

// namespace (4) | name
void SetNameKey(NamespaceId ns, std::string_view name, std::string* key);
bool ParseNameKey(std::string_view key, NamespaceId* ns, std::string_view* name);

// print (16)
void SetTokenKey(const TokenPrint& print, std::string* key);
bool ParseTokenKey(std::string_view key, TokenPrint* print);

// counter key | 0x00 | start of the day (8, sign bit flipped)
inline constexpr size_t kSumsKeySuffix = 9;
void SetSumsKey(const CounterRef& counter, int64_t day_us, std::string* key);
bool ParseSumsKey(std::string_view key, std::string_view* counter_key, int64_t* day_us);

// ---- values

void SetCheckpointValue(const Checkpoint& checkpoint, std::string* value);
bool ParseCheckpointValue(std::string_view value, Checkpoint* checkpoint);

// The minutes of one day, ascending; at least one.
void SetSumsValue(std::span<const MinuteSum> minutes, std::string* value);
bool ParseSumsValue(std::string_view value, std::vector<MinuteSum>* minutes);

// Names have a value of the version alone; meta rows the version and then the caller's bytes.
void SetNameValue(std::string* value);
bool ParseNameValue(std::string_view value);
void SetMetaValue(std::string_view bytes, std::string* value);
bool ParseMetaValue(std::string_view value, std::string_view* bytes);

}  // namespace quipu::store
