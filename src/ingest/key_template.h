// A counter's name made from a record: `path:{path}`, `{user}/{item}`. `{{` and `}}` stand for single braces. Without a
// column every record counts the same counter.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quipu::ingest {

class KeyTemplate {
 public:
  // kInvalidArgument: a brace that does not close, an empty column, an empty text.
  static Result<KeyTemplate> Parse(std::string_view text);

  // The columns in it, each once, in order of first use.
  const std::vector<std::string>& columns() const { return columns_; }
  // values[i] belongs to columns()[i]. The result points into `values` or *scratch.
  std::string_view Build(std::span<const std::string_view> values, std::string* scratch) const;

 private:
  struct Piece {
    std::string literal;
    size_t column = 0;  // after the literal; kNoColumn at the end
  };
  static constexpr size_t kNoColumn = ~size_t{0};
  std::vector<Piece> pieces_;
  std::vector<std::string> columns_;
};

}  // namespace quipu::ingest
