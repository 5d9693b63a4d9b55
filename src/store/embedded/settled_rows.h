// Keys and values of the settled state, byte by byte: docs/internals/settled.md has the tables and a worked example,
// test/golden/settled_rows.txt the bytes. Keys sort as their parts do. Every value begins with a format version.
//
// Memory    Writers use a buffer of the caller's again and again; decoded views point into what was decoded.
// Errors    Decode: false for anything that Encode cannot have written (bytes from disk are never asserted on).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "store/embedded/settled.h"

namespace quipu::store {

// ---- keys

// namespace (4, big-endian) | hash (8) | name
void SetCounterKey(const CounterRef& counter, std::string* key);
bool ParseCounterKey(std::string_view key, CounterRef* counter);

// counter key | 0x00 | position (8)
inline constexpr size_t kEventKeySuffix = 9;
void SetEventKey(const CounterRef& counter, Position position, std::string* key);
bool ParseEventKey(std::string_view key, std::string_view* counter_key, Position* position);

// namespace (4) | name
void SetNameKey(NamespaceId ns, std::string_view name, std::string* key);
bool ParseNameKey(std::string_view key, NamespaceId* ns, std::string_view* name);

// print (16)
void SetTokenKey(const TokenPrint& print, std::string* key);
bool ParseTokenKey(std::string_view key, TokenPrint* print);

// counter key | 0x00 | interval (1) | start (8, sign bit flipped)
inline constexpr size_t kSumKeySuffix = 10;
void SetSumKey(const CounterRef& counter, Interval interval, int64_t start_us, std::string* key);
bool ParseSumKey(std::string_view key, std::string_view* counter_key, Interval* interval, int64_t* start_us);

// ---- values

void SetCheckpointValue(const Checkpoint& checkpoint, std::string* value);
bool ParseCheckpointValue(std::string_view value, Checkpoint* checkpoint);

// commit_us is stored from the start of its slice, event_us from commit_us. The position is in the key. The token may
// point into `value`.
void SetEventValue(const SettledEvent& event, Micros slice_start, std::string* value);
bool ParseEventValue(std::string_view value, Micros slice_start, SettledEvent* event);

// The position, and the event's value without the token's text.
void SetTokenValue(const SettledEvent& event, Micros slice_start, std::string* value);
bool ParseTokenValue(std::string_view value, Micros slice_start, SettledEvent* event);

// The sum is exact: 128 bits hold 2^64 additions of any 64-bit numbers.
struct SumValue {
  __int128 sum = 0;
  uint64_t events = 0;
  bool operator==(const SumValue&) const = default;
};
void SetSumValue(const SumValue& sum, std::string* value);
bool ParseSumValue(std::string_view value, SumValue* sum);

// Names have a value of the version alone; meta rows the version and then the caller's bytes.
void SetNameValue(std::string* value);
bool ParseNameValue(std::string_view value);
void SetMetaValue(std::string_view bytes, std::string* value);
bool ParseMetaValue(std::string_view value, std::string_view* bytes);

}  // namespace quipu::store
