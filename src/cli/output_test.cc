#include "cli/output.h"

#include <gtest/gtest.h>

namespace quipu::cli {
namespace {

const std::vector<Column> kColumns = {
    {"name"}, {"value", ColumnKind::kCount}, {"lag_ms", ColumnKind::kNumber}, {"exact", ColumnKind::kFlag}};
const std::vector<std::vector<std::string>> kRows = {{"ü\"x\"", "9007199254740993", "0", "true"},
                                                     {"b,c", "-1", "", ""}};

TEST(Output, JsonKeepsCountsAsTextAndMeasuresAsNumbers) {
  EXPECT_EQ(RenderRows(OutputFormat::kJson, kColumns, kRows),
            "[{\"name\": \"ü\\\"x\\\"\", \"value\": \"9007199254740993\", \"lag_ms\": 0, \"exact\": true},\n"
            " {\"name\": \"b,c\", \"value\": \"-1\", \"lag_ms\": null, \"exact\": null}]\n");
  EXPECT_EQ(RenderRows(OutputFormat::kJson, kColumns, {}), "[]\n");
}

TEST(Output, CsvQuotesWhatNeedsIt) {
  EXPECT_EQ(RenderRows(OutputFormat::kCsv, kColumns, kRows),
            "name,value,lag_ms,exact\n\"ü\"\"x\"\"\",9007199254740993,0,true\n\"b,c\",-1,,\n");
}

TEST(Output, TablesAlignByCharacters) {
  EXPECT_EQ(RenderRows(OutputFormat::kTable, std::span(kColumns).first(2), kRows),
            "name             value\nü\"x\"  9007199254740993\nb,c                 -1\n");
}

TEST(Output, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[31m\n\x7f\xc2\x9b"), "a\\x1b[31m\\x0a\\x7f\\xc2\\x9b");
  EXPECT_EQ(JsonString("a\x1b\n\"\\"), "\"a\\u001b\\n\\\"\\\\\"");
}

}  // namespace
}  // namespace quipu::cli
