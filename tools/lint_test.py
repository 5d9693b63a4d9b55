#!/usr/bin/env python3
"""The linter is judged here: a clean tree passes, and every rule finds the violation planted for it."""
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("lint", os.path.join(HERE, "lint"))
lint = importlib.util.module_from_spec(importlib.util.spec_from_loader("lint", loader))
loader.exec_module(lint)

CLEAN = {
    "Makefile": "run:\n\techo ok\n",
    "README.md": "See [base](src/base/README.md); `make run` starts it.\n",
    "docs/adr/0001-first.md": "# One\n",
    "src/base/README.md": "Base.\n",
    "src/base/a.h": "// What a is for.\n#pragma once\nint A();\n",
    "src/base/a.cc": '#include "base/a.h"\n\n// Only words: std::thread, "sleep_for"\nint A() { return \'"\'; }\n',
    "src/rt/README.md": "Rt.\n",
    "src/rt/clock.cc": '#include <chrono>\n#include "base/a.h"\nauto n = std::chrono::steady_clock::now();\n',
    "src/sim/README.md": "Sim.\n",
    "src/sim/clock.h": '// The same from a seed.\n#pragma once\n#include "rt/clock.cc"\n',
    "src/base/a_test.cc": '#include "sim/clock.h"\nint t = A();\n',
    "src/store/README.md": "Store.\n",
    "src/store/embedded/README.md": "Embedded.\n",
    "src/store/embedded/settled.cc": "#include <rocksdb/db.h>\n",
}

# (rule, path, content): one finding of that rule in that path, at least one for each rule.
PLANTS = [
    ("arrows", "src/base/b.cc", '#include "rt/clock.cc"\n'),
    ("arrows", "src/base/b.cc", '#include "sim/clock.h"\n'),
    ("arrows", "src/base/b.cc", '#include "a.h"\n'),
    ("arrows", "src/base/b.cc", '#include "base/gone.h"\n'),
    ("arrows", "src/nowhere/b.cc", "int b;\n"),
    ("arrows", "src/gateway/resp/b.cc", '#include "store/embedded/settled.cc"\n'),
    ("door", "src/base/b.cc", "#include <chrono>\n"),
    ("door", "src/base/b.cc", "#include <sys/socket.h>\n"),
    ("door", "src/base/b.cc", "#include <fstream>\n"),
    ("door", "src/sim/b.cc", "#include <unistd.h>\n"),
    ("door", "src/base/b_test.cc", "#include <thread>\n"),
    ("door", "src/base/b.cc", "std::random_device d;\n"),
    ("door", "src/base/b.cc", "auto t = std::chrono::system_clock::now();\n"),
    ("door", "src/base/b.cc", "auto t = time(nullptr);\n"),
    ("door", "src/base/b.cc", "auto t = ::time(&x);\n"),
    ("door", "src/base/b.cc", 'auto e = getenv("HOME");\n'),
    ("door", "src/base/b.cc", "std::thread t;\n"),
    ("door", "src/base/b.cc", "void F() { rand(); }\n"),
    ("door", "src/base/b.cc", 'FILE* f = fopen("x", "r");\n'),
    ("door", "src/base/b_test.cc", "void F() { std::this_thread::sleep_for(x); }\n"),
    ("rocksdb", "src/store/b.cc", "#include <rocksdb/db.h>\n"),
    ("rocksdb", "src/store/embedded/engine.cc", "#include <rocksdb/slice.h>\n"),
    ("throw", "src/base/b.cc", "void F() { throw 1; }\n"),
    ("tab", "src/base/b.cc", "int\tb;\n"),
    ("blanks", "src/base/b.cc", "int b; \n"),
    ("blanks", "tools/b", "true\r\n"),
    ("columns", "src/base/b.cc", "// " + "x" * 118 + "\n"),
    ("unfinished", "src/base/b.cc", "// TO" "DO: later\n"),
    ("unfinished", "docs/b.md", "FIX" "ME\n"),
    ("newline", "src/base/b.cc", "int b;"),
    ("header", "src/base/b.h", "#pragma once\nint b;\n"),
    ("header", "src/base/b.h", "// For b.\nint b;\n"),
    ("length", "src/base/b.cc", "int b;\n" * 501),
    ("length", "tools/lint_ratchet.txt", "src/base/a.cc 600\n"),
    ("adr", "docs/adr/0001-second.md", "# Two\n"),
    ("adr", "docs/adr/second.md", "# Two\n"),
    ("readme", "src/base/more/b.cc", "int b;\n"),
    ("places", "docs/b.md", "from regis" "try.example.org\n"),
    ("places", "docs/b.md", "from deb.deb" "ian.org\n"),
    ("places", "tools/b", "cd /wo" "rk/main\n"),
    ("places", "test/e2e/x_test.py", 'PATH = "/t' 'mp/x"\n'),
    ("places", "test/e2e/package-lock.json", '{\n "resolved": "x"\n}\n'),
    ("sleep", "test/e2e/x_test.py", "import time\ntime.sleep(1)\n"),
    ("sleep", "test/e2e/x.sh", "sleep 1\n"),
    ("sleep", "test/integration/x_test.cc", "void F() { usleep(1); }\n"),
    ("link", "docs/b.md", "[x](gone.md)\n"),
    ("link", "docs/b.md", "type `make gone`\n"),
]


def write(root, files):
    for path, content in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8", newline="") as f:
            f.write(content)


def findings(files):
    with tempfile.TemporaryDirectory() as root:
        write(root, files)
        out = lint.Lint(root).run(lint.RULES)
        return [x for x in out if ": exceptions: " not in x]


class LintTest(unittest.TestCase):
    def test_a_clean_tree_has_no_findings(self):
        self.assertEqual(findings(CLEAN), [])

    def test_every_planted_violation_is_found_where_it_stands(self):
        for rule, path, content in PLANTS:
            with self.subTest(rule=rule, path=path, content=content[:60]):
                place = os.path.dirname(path) if rule == "readme" else path
                self.assertTrue([x for x in findings({**CLEAN, path: content}) if x.startswith(place + ":")
                                 and f": {rule}: " in x])

    def test_the_build_finds_the_wrong_includes_and_only_those(self):
        for rule, path, content in PLANTS:
            with self.subTest(rule=rule, path=path), tempfile.TemporaryDirectory() as root:
                write(root, {**CLEAN, path: content})
                done = subprocess.run([sys.executable, os.path.join(HERE, "lint"), "--includes", "--root", root],
                                      capture_output=True, text=True, check=False)
                wrong = rule in ("arrows", "rocksdb") or (rule == "door" and content.startswith("#include"))
                self.assertEqual((done.returncode, f"{path}:1: {rule}: " in done.stdout), (1, True) if wrong
                                 else (0, False), done.stdout + done.stderr)

    def test_every_rule_has_a_plant(self):
        found = {x.split(": ")[1] for rule, path, content in PLANTS for x in findings({**CLEAN, path: content})}
        self.assertEqual(found, {rule for rule, _, _ in PLANTS})
        with open(os.path.join(HERE, "lint"), encoding="utf-8") as source:
            self.assertLessEqual(set(re.findall(r'report\([^"\n]*"([a-z]+)"', source.read())), found)

    def test_the_ratchet_allows_what_it_lists_and_no_more(self):
        long_file = {**CLEAN, "src/base/b.cc": "int b;\n" * 600}
        self.assertEqual(findings({**long_file, "tools/lint_ratchet.txt": "src/base/b.cc 600\n"}), [])
        self.assertTrue(findings({**long_file, "tools/lint_ratchet.txt": "src/base/b.cc 599\n"}))

    def test_an_exception_that_nothing_needs_is_a_finding(self):
        lint.EXCEPTIONS[("src/none/*", "thread")] = "for this test"
        try:
            with tempfile.TemporaryDirectory() as root:
                self.assertTrue([x for x in lint.Lint(root).run(lint.RULES) if "src/none/*" in x])
        finally:
            del lint.EXCEPTIONS[("src/none/*", "thread")]

    def test_an_exception_excuses_exactly_what_it_names(self):
        lint.EXCEPTIONS[("src/base/b.cc", "thread")] = "for this test"
        try:
            self.assertEqual(findings({**CLEAN, "src/base/b.cc": "std::thread t;\n"}), [])
            self.assertTrue(findings({**CLEAN, "src/base/b.cc": "std::thread t; auto e = getenv(s);\n"}))
        finally:
            del lint.EXCEPTIONS[("src/base/b.cc", "thread")]


if __name__ == "__main__":
    unittest.main()
