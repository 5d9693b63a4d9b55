// Any bytes as a journal record: refused, or a record with one spelling, and never a byte read beyond the end.
#include "store/embedded/record_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quipu::store::DecodesCanonically({reinterpret_cast<const char*>(data), size}, 1'750'000'000'000'000);
  return 0;
}
