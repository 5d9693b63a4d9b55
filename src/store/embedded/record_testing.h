// One spelling per record: what Decode takes, Encode writes again byte by byte.
#pragma once
#include <string>

#include "store/embedded/record.h"

namespace quipu::store {

inline std::string Encode(const Record& r, Micros frame_us) {
  std::string out(kRecordBytesMax, '\0');
  size_t n = 0;
  switch (r.type) {
    case RecordType::kCounter:
      n = EncodeCounter(r.counter, frame_us, out.data());
      break;
    case RecordType::kNamespace:
      n = EncodeNamespace(r.ns, out.data());
      break;
    case RecordType::kSource:
      n = EncodeSource(r.source, out.data());
      break;
    case RecordType::kStep:
      n = EncodeStep(r.step, out.data());
      break;
  }
  out.resize(n);
  return out;
}

// Whether the bytes are a record, as a whole or with more behind it. Aborts where a record has a second spelling.
inline bool DecodesCanonically(std::string_view bytes, Micros frame_us) {
  const char* p = bytes.data();
  Record r;
  if (!DecodeRecord(&p, bytes.data() + bytes.size(), frame_us, &r)) return false;
  std::string_view taken = bytes.substr(0, static_cast<size_t>(p - bytes.data()));
  QUIPU_ASSERT(Encode(r, frame_us) == taken, "a record of {} bytes has two spellings", taken.size());
  return true;
}

}  // namespace quipu::store
