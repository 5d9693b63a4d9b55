#include "ingest/key_template.h"

namespace quipu::ingest {

Result<KeyTemplate> KeyTemplate::Parse(std::string_view text) {
  const auto wrong = [text](std::string_view what) {
    return Status(Code::kInvalidArgument, fmt::format("--key `{}`: {}", text, what));
  };
  KeyTemplate t;
  std::string literal;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool doubled = i + 1 < text.size() && text[i + 1] == text[i];
    if (text[i] != '{' && text[i] != '}') {
      literal += text[i];
    } else if (doubled) {
      literal += text[i++];
    } else if (text[i] == '}') {
      return wrong("a } without its {; write }} for the character");
    } else {
      const size_t end = text.find('}', i);
      if (end == std::string_view::npos) return wrong("a { without its }; write {{ for the character");
      const std::string column(text.substr(i + 1, end - i - 1));
      if (column.empty()) return wrong("{} names no column");
      const auto known = std::find(t.columns_.begin(), t.columns_.end(), column);
      t.pieces_.push_back({literal, static_cast<size_t>(known - t.columns_.begin())});
      if (known == t.columns_.end()) t.columns_.push_back(column);
      literal.clear();
      i = end;
    }
  }
  if (text.empty()) return wrong("is empty");
  if (!literal.empty()) t.pieces_.push_back({literal, kNoColumn});
  return t;
}

std::string_view KeyTemplate::Build(std::span<const std::string_view> values, std::string* scratch) const {
  if (pieces_.size() == 1 && pieces_[0].literal.empty()) return values[pieces_[0].column];
  scratch->clear();
  for (const Piece& piece : pieces_) {
    scratch->append(piece.literal);
    if (piece.column != kNoColumn) scratch->append(values[piece.column]);
  }
  return *scratch;
}

}  // namespace quipu::ingest
