// What an add costs on its way through the front end, without a store's own work: parse, look up, op, slot, format,
// write. Expected on one core of 2020 or later: parse below 30 ns a command, the whole path below 150 ns at pipeline 16
// and up.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "gateway/resp/hand_testing.h"

namespace quipu::resp {
namespace {

void BM_Parse(benchmark::State& state) {
  std::string bytes = Pipeline(static_cast<int>(state.range(0)));
  RespParser parser{ParserLimits{}};
  for (auto _ : state) {
    size_t at = 0;
    while (parser.Parse(bytes.data() + at, bytes.size() - at) == RespParser::Result::kCommand) at += parser.consumed();
    benchmark::DoNotOptimize(at);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Parse)->Arg(1)->Arg(16)->Arg(128);

void BM_Lookup(benchmark::State& state) {
  const CommandTable& table = CommandTable::Get();
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.Find("INCRBY"));
    benchmark::DoNotOptimize(table.Find("incr"));
    benchmark::DoNotOptimize(table.Find("QUIPU.ADD"));
  }
  state.SetItemsProcessed(state.iterations() * 3);
}
BENCHMARK(BM_Lookup);

void BM_AddPath(benchmark::State& state) {
  HandLoop loop;
  YesStore store;
  RespServer server(&loop, &store, {});
  server.OnAccept(std::make_unique<LoopedSocket>(Pipeline(static_cast<int>(state.range(0)))));
  for (auto _ : state) {
    loop.handlers[0]->OnReadable();
    store.Done();
    server.OnTurnEnd();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_AddPath)->Arg(1)->Arg(16)->Arg(128);

}  // namespace
}  // namespace quipu::resp
