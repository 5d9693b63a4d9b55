#include "cli/completion.h"

namespace quipu::cli {
namespace {

std::string Joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string NamesOf(const std::vector<CommandWords>& commands) {
  std::vector<std::string> names;
  for (const CommandWords& c : commands) names.push_back(c.name);
  return Joined(names);
}

// In single quotes for any of the shells.
std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// The words after `quipu A B`: a case for each command with its own commands and options.
std::string Cases(const CommandWords& node, const std::string& path, const std::string& end) {
  std::string out;
  const std::string words = NamesOf(node.commands) + (node.commands.empty() ? "" : " ") + Joined(node.options);
  out += fmt::format("    {}) words={} {}\n", Quoted(path), Quoted(words), end);
  for (const CommandWords& c : node.commands) out += Cases(c, path.empty() ? c.name : path + " " + c.name, end);
  return out;
}

std::string Bash(const CommandWords& root) {
  return fmt::format(
      "# bash completion for quipu: quipu completion bash > /etc/bash_completion.d/quipu\n"
      "_quipu() {{\n"
      "  local path= word words= current=${{COMP_WORDS[COMP_CWORD]}}\n"
      "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
      "    case \" {} \" in *\" $word \"*) path=\"${{path:+$path }}$word\" ;; esac\n"
      "  done\n"
      "  case \"$path\" in\n{}  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  [[ $current != -* && ${{#COMPREPLY[@]}} -eq 0 ]] && compopt -o default\n"
      "}}\n"
      "complete -F _quipu quipu\n",
      [&] {
        std::string all = NamesOf(root.commands);
        for (const CommandWords& c : root.commands) all += c.commands.empty() ? "" : " " + NamesOf(c.commands);
        return all;
      }(),
      Cases(root, "", ";;"));
}

std::string Zsh(const CommandWords& root) {
  std::string out = "#compdef quipu\n# zsh completion for quipu: quipu completion zsh > \"${fpath[1]}/_quipu\"\n";
  out += "_quipu() {\n  local -a commands\n  if (( CURRENT == 2 )); then\n    commands=(\n";
  for (const CommandWords& c : root.commands) out += fmt::format("      {}\n", Quoted(c.name + ":" + c.what));
  out += "    )\n    _describe command commands\n    return\n  fi\n  local path=${words[2]} list=\n";
  out += "  case \"${words[2]} ${words[3]}\" in\n";
  for (const CommandWords& c : root.commands) {
    for (const CommandWords& inner : c.commands) {
      out += fmt::format("    {}) (( CURRENT > 3 )) && path={} ;;\n", Quoted(c.name + " " + inner.name),
                         Quoted(c.name + " " + inner.name));
    }
  }
  out += "  esac\n  local words\n  case \"$path\" in\n" + Cases(root, "", ";;") +
         "  esac\n  compadd -- ${=words} || _files\n}\n_quipu \"$@\"\n";
  return out;
}

void FishCommands(const CommandWords& node, const std::string& seen, std::string* out) {
  for (const CommandWords& c : node.commands) {
    const std::string condition = seen.empty() ? "__fish_use_subcommand"
                                               : fmt::format(
                                                     "__fish_seen_subcommand_from {}; and not "
                                                     "__fish_seen_subcommand_from {}",
                                                     seen, NamesOf(node.commands));
    *out += fmt::format("complete -c quipu -f -n {} -a {} -d {}\n", Quoted(condition), c.name, Quoted(c.what));
    for (const std::string& option : c.options) {
      const bool is_long = option.starts_with("--");
      *out += fmt::format("complete -c quipu -n '__fish_seen_subcommand_from {}' -{} {}\n", c.name, is_long ? "l" : "s",
                          option.substr(is_long ? 2 : 1));
    }
    FishCommands(c, c.name, out);
  }
}

}  // namespace

Result<std::string> CompletionScript(std::string_view shell, const CommandWords& root) {
  if (shell == "bash") return Bash(root);
  if (shell == "zsh") return Zsh(root);
  if (shell == "fish") {
    std::string out = "# fish completion for quipu: quipu completion fish > ~/.config/fish/completions/quipu.fish\n";
    FishCommands(root, "", &out);
    return out;
  }
  return Status(Code::kInvalidArgument, fmt::format("shell `{}` is none of bash, zsh, fish", shell));
}

}  // namespace quipu::cli
