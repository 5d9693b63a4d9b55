// What each add pays to this folder. Expected on the reference machine (2 GHz class): IsCounterName 2 ns, HashCounter 5
// ns, TokenOwnTime of a UUIDv7 25 ns, PackToken 25 ns.
#include <benchmark/benchmark.h>

#include "model/name.h"
#include "model/token.h"

namespace quipu {
namespace {

constexpr std::string_view kName = "key:000000123456xxxx";
constexpr std::string_view kUuid = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

void BM_IsCounterName(benchmark::State& state) {
  std::string_view name = kName;
  for (auto _ : state) {
    benchmark::DoNotOptimize(name);
    benchmark::DoNotOptimize(IsCounterName(name));
  }
}
BENCHMARK(BM_IsCounterName);

void BM_HashCounter(benchmark::State& state) {
  std::string_view name = kName;
  for (auto _ : state) {
    benchmark::DoNotOptimize(name);
    benchmark::DoNotOptimize(HashCounter(0, name));
  }
}
BENCHMARK(BM_HashCounter);

void BM_TokenOwnTime(benchmark::State& state) {
  std::string_view token = kUuid;
  for (auto _ : state) {
    benchmark::DoNotOptimize(token);
    benchmark::DoNotOptimize(TokenOwnTime(token));
  }
}
BENCHMARK(BM_TokenOwnTime);

void BM_PackToken(benchmark::State& state) {
  std::string_view token = kUuid;
  for (auto _ : state) {
    benchmark::DoNotOptimize(token);
    benchmark::DoNotOptimize(PackToken(token));
  }
}
BENCHMARK(BM_PackToken);

}  // namespace
}  // namespace quipu
