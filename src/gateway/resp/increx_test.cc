// INCREX, sentence by sentence.
#include <gtest/gtest.h>

#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

struct Step {
  const char* command;
  const char* reply;
};

void RunSteps(const std::vector<Step>& steps) {
  World w;
  for (const Step& step : steps) EXPECT_EQ(w.Ask(step.command), step.reply) << step.command;
}

TEST(IncrEx, AddsOneByDefaultAndAnswersValueAndAmount) {
  RunSteps({{"INCREX k", "*2|:1|:1|"},
            {"INCREX k BYINT 5", "*2|:6|:5|"},
            {"INCREX k BYINT -8", "*2|:-2|:-8|"},
            {"increx k byint 0", "*2|:-2|:0|"}});
}

TEST(IncrEx, OutsideABoundNothingChanges) {
  RunSteps({{"SET k 10 EX 500", "+OK|"},
            {"INCREX k BYINT 5 UBOUND 12 EX 9000", "*2|:10|:0|"},
            {"INCREX k BYINT -5 LBOUND 6 PERSIST", "*2|:10|:0|"},
            {"TTL k", ":500|"},
            {"INCREX none BYINT 5 UBOUND 3", "*2|:0|:0|"},
            {"EXISTS none", ":0|"}});
}

TEST(IncrEx, OutsideSixtyFourBitsNothingChanges) {
  RunSteps({{"SET k 9223372036854775807 EX 500", "+OK|"},
            {"INCREX k PERSIST", "*2|:9223372036854775807|:0|"},
            {"TTL k", ":500|"},
            {"SET m -9223372036854775808", "+OK|"},
            {"INCREX m BYINT -1", "*2|:-9223372036854775808|:0|"}});
}

TEST(IncrEx, AResultOnTheBoundIsIn) {
  RunSteps({{"SET k 10", "+OK|"},
            {"INCREX k BYINT 5 UBOUND 15", "*2|:15|:5|"},
            {"INCREX k BYINT -5 LBOUND 10", "*2|:10|:-5|"}});
}

TEST(IncrEx, AStoredValueOutsideIsFineIfTheResultIsInside) {
  RunSteps({{"SET k 100", "+OK|"}, {"INCREX k BYINT -60 UBOUND 50", "*2|:40|:-60|"}});
}

TEST(IncrEx, SaturateReachesTheBoundAlsoBackwards) {
  RunSteps({{"SET k 50", "+OK|"},
            {"INCREX k BYINT 5 UBOUND 30 SATURATE", "*2|:30|:-20|"},
            {"INCREX k BYINT 9 UBOUND 35 SATURATE", "*2|:35|:5|"},
            {"INCREX k BYINT -99 LBOUND -5 SATURATE", "*2|:-5|:-40|"},
            {"SET k 9223372036854775800", "+OK|"},
            {"INCREX k BYINT 100 SATURATE", "*2|:9223372036854775807|:7|"}});
}

TEST(IncrEx, AnAmountBeyondSixtyFourBitsIsAnError) {
  RunSteps({{"SET k -9223372036854775808 EX 500", "+OK|"},
            {"INCREX k BYINT 5 LBOUND 9223372036854775807 SATURATE PERSIST", "-ERR applied increment would overflow|"},
            {"GET k", "$20|-9223372036854775808|"},
            {"TTL k", ":500|"}});
}

TEST(IncrEx, SetsKeepsAndClearsTheExpiry) {
  RunSteps({{"INCREX k EX 100", "*2|:1|:1|"},
            {"TTL k", ":100|"},
            {"INCREX k", "*2|:2|:1|"},
            {"TTL k", ":100|"},
            {"INCREX k PX 200000", "*2|:3|:1|"},
            {"TTL k", ":200|"},
            {"INCREX k BYINT 9 UBOUND 5 SATURATE EX 300", "*2|:5|:2|"},
            {"TTL k", ":300|"},
            {"INCREX k EXAT 33177117420", "*2|:6|:1|"},
            {"EXPIRETIME k", ":33177117420|"},
            {"INCREX k PXAT 33177117420123", "*2|:7|:1|"},
            {"PEXPIRETIME k", ":33177117420123|"},
            {"INCREX k PERSIST", "*2|:8|:1|"},
            {"TTL k", ":-1|"},
            {"INCREX fresh PERSIST", "*2|:1|:1|"}});
}

TEST(IncrEx, EnxSetsAnExpiryOnlyWhereThereIsNone) {
  RunSteps({{"INCREX k EX 100 ENX", "*2|:1|:1|"},
            {"TTL k", ":100|"},
            {"INCREX k EX 500 ENX", "*2|:2|:1|"},
            {"TTL k", ":100|"},
            {"SET m 1", "+OK|"},
            {"INCREX m ENX PX 100000", "*2|:2|:1|"},
            {"TTL m", ":100|"}});
}

TEST(IncrEx, ATimeInThePastAnswersAndRemoves) {
  RunSteps({{"SET k 10", "+OK|"},
            {"INCREX k EXAT 100", "*2|:11|:1|"},
            {"EXISTS k", ":0|"},
            {"SET k 10", "+OK|"},
            {"INCREX k EXAT 100 ENX", "*2|:11|:1|"},
            {"EXISTS k", ":0|"},
            {"SET k 10 EX 500", "+OK|"},
            {"INCREX k EXAT 100 ENX", "*2|:11|:1|"},
            {"TTL k", ":500|"}});
}

TEST(IncrEx, ConditionsOfValkey) {
  RunSteps({{"INCREX k XX", "*2|$-1|:0|"},
            {"EXISTS k", ":0|"},
            {"INCREX k NX", "*2|:1|:1|"},
            {"INCREX k NX", "*2|:1|:0|"},
            {"INCREX k XX", "*2|:2|:1|"}});
}

TEST(IncrEx, EveryErrorHasItsText) {
  World w;
  for (const char* bad : {"INCREX k FOO", "INCREX k BYINT", "INCREX k BYINT 1 BYINT 2", "INCREX k BYINT 1 BYFLOAT 2",
                          "INCREX k LBOUND 0 LBOUND 1", "INCREX k UBOUND 0 UBOUND 1", "INCREX k SATURATE SATURATE",
                          "INCREX k EX 1 PX 1", "INCREX k EX 1 EX 1", "INCREX k PERSIST EX 1", "INCREX k EX 1 PERSIST",
                          "INCREX k PERSIST PERSIST", "INCREX k ENX PERSIST", "INCREX k PERSIST ENX",
                          "INCREX k EX 1 ENX ENX", "INCREX k NX XX", "INCREX k NX NX", "INCREX k UBOUND"}) {
    EXPECT_EQ(w.Ask(bad), "-ERR syntax error|") << bad;
  }
  EXPECT_EQ(w.Ask("INCREX k ENX"), "-ERR ENX flag requires an expiration|");
  EXPECT_EQ(w.Ask("INCREX k LBOUND 10 UBOUND 5"), "-ERR LBOUND can't be greater than UBOUND|");
  EXPECT_EQ(w.Ask("INCREX k BYINT 1.5"), "-ERR Increment is not an integer or out of range|");
  EXPECT_EQ(w.Ask("INCREX k LBOUND x"), "-ERR LBOUND is not an integer or out of range|");
  EXPECT_EQ(w.Ask("INCREX k UBOUND x"), "-ERR UBOUND is not an integer or out of range|");
  EXPECT_EQ(w.Ask("INCREX k BYFLOAT 1.5"), "-ERR value is not an integer or out of range|");
  for (const char* bad : {"INCREX k EX 0", "INCREX k EX -5", "INCREX k PX 0", "INCREX k EX 9223372036854775807"}) {
    EXPECT_EQ(w.Ask(bad), "-ERR invalid expire time in 'increx' command|") << bad;
  }
  EXPECT_EQ(w.Ask("INCREX"), "-ERR wrong number of arguments for 'increx' command|");
  EXPECT_EQ(w.Ask("EXISTS k"), ":0|");
}

}  // namespace
}  // namespace quipu::resp
