// Any bytes as a key, a value or a CURRENT of the settled state: refused, or decoded, and then what is written again
// for it is what was read. The first byte says as what the rest is taken.
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "store/embedded/rocks_disk.h"
#include "store/embedded/settled_events.h"
#include "store/embedded/settled_rows.h"
#include "store/embedded/settler.h"

namespace quipu::store {
namespace {

constexpr Micros kSlice = 1'700'006'400'000'000;

void Same(std::string_view read, std::string_view written) {
  QUIPU_ASSERT(read == written, "{} bytes were read, {} are written again", read.size(), written.size());
}

void EventsValue(std::string_view bytes) {
  constexpr Position kLast = 1'000'000;
  std::vector<SettledEvent> events;
  if (!ParseEventsValue(bytes, kSlice, kLast, &events)) return;
  EventsRow row;
  row.Begin(kSlice);
  for (const SettledEvent& event : events) row.Add(event);
  std::string value;
  row.Finish(&value);
  Same(bytes, value);
}

void TokenValue(std::string_view bytes) {
  SettledEvent event;
  if (!ParseTokenValue(bytes, kSlice, &event)) return;
  char event_bytes[kTokenEventBytesMax];
  std::string value;
  SetTokenValue(event.position, {event_bytes, PutTokenEvent(event, kSlice, event_bytes)}, &value);
  Same(bytes, value);
}

void CheckpointValue(std::string_view bytes) {
  Checkpoint checkpoint;
  std::string value;
  if (!ParseCheckpointValue(bytes, &checkpoint)) return;
  SetCheckpointValue(checkpoint, &value);
  Same(bytes, value);
}

void SumsRow(std::string_view bytes) {
  std::vector<MinuteSum> sums;
  std::string value;
  if (!ParseSumsValue(bytes, &sums)) return;
  SetSumsValue(sums, &value);
  Same(bytes, value);
}

void MetaValue(std::string_view bytes) {
  std::string_view inner;
  std::string value;
  if (ParseMetaValue(bytes, &inner)) {
    SetMetaValue(inner, &value);
    Same(bytes, value);
  }
  if (ParseNameValue(bytes)) {
    SetNameValue(&value);
    Same(bytes, value);
  }
}

void CounterKeys(std::string_view bytes) {
  CounterRef counter;
  std::string key;
  if (ParseCounterKey(bytes, &counter)) {
    SetCounterKey(counter, &key);
    Same(bytes, key);
  }
  std::string_view counter_key;
  Position position;
  if (ParseEventKey(bytes, &counter_key, &position) && ParseCounterKey(counter_key, &counter)) {
    SetEventKey(counter, position, &key);
    Same(bytes, key);
  }
  int64_t day;
  if (ParseSumsKey(bytes, &counter_key, &day) && ParseCounterKey(counter_key, &counter)) {
    SetSumsKey(counter, day, &key);
    Same(bytes, key);
  }
}

void OtherKeys(std::string_view bytes) {
  std::string key;
  NamespaceId ns;
  std::string_view name;
  if (ParseNameKey(bytes, &ns, &name)) {
    SetNameKey(ns, name, &key);
    Same(bytes, key);
  }
  TokenPrint print;
  if (ParseTokenKey(bytes, &print)) {
    SetTokenKey(print, &key);
    Same(bytes, key);
  }
  uint32_t shard;
  if (DecodeCountKey(bytes, &shard, &ns)) Same(bytes, CountKey(shard, ns));
  int64_t expiry_ms;
  uint64_t hash;
  if (DecodeExpiryKey(bytes, &expiry_ms, &ns, &hash)) Same(bytes, ExpiryKey(expiry_ms, ns, hash));
}

void PositionAndCurrent(std::string_view bytes) {
  SettledPosition position;
  if (DecodeSettledPosition(bytes, &position)) Same(bytes, EncodeSettledPosition(position));
  if (auto seal = UnsealCurrent(bytes)) Same(bytes, SealCurrent(*seal));
}

constexpr void (*kDecoders[])(std::string_view) = {EventsValue, TokenValue,  CheckpointValue, SumsRow,
                                                   MetaValue,   CounterKeys, OtherKeys,       PositionAndCurrent};

}  // namespace
}  // namespace quipu::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  using quipu::store::kDecoders;
  kDecoders[data[0] % std::size(kDecoders)]({reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
