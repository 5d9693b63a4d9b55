"""What protects the process from itself and the machine from the process: the flags that the release binary was built
with, and the unit that systemd runs it by."""
import os
import re
import shutil
import subprocess

import pytest

import judges

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT = os.path.join(ROOT, "packaging", "quipu.service")
EXPOSURE_MAX = 1.5  # of 10, by systemd-analyze
LIMIT_SECONDS = 120  # against hanging
ENDBR64 = bytes.fromhex("f30f1efa")


def readelf(what, binary):
    return subprocess.run(["readelf", "-W", what, binary], capture_output=True, text=True, check=True,
                          timeout=LIMIT_SECONDS).stdout


def unprotected(binary):
    """The protections that the binary lacks."""
    dynamic, segments, symbols = (readelf(what, binary) for what in ("--dynamic", "--segments", "--dyn-syms"))
    with open(binary, "rb") as file:
        branch_targets = file.read().count(ENDBR64)
    stack = re.search(r"GNU_STACK.*", segments)
    has = {
        "position independent": "PIE" in dynamic,
        "relocations read-only": "GNU_RELRO" in segments,
        "bound at start": "BIND_NOW" in dynamic or "Flags: NOW" in dynamic,
        "no executable stack": bool(stack) and "E" not in stack.group().split()[-2],
        "stack protector": "__stack_chk_fail" in symbols,
        "fortified calls": "_chk@GLIBC" in symbols,
        "branch protection": branch_targets > 10,
        "no search path of libraries": not re.search("RPATH|RUNPATH", dynamic),
    }
    if os.uname().machine != "x86_64":
        del has["branch protection"]
    return [name for name, there in has.items() if not there]


def need_readelf():
    if not shutil.which("readelf"):
        judges.missing("binutils", "readelf is not installed")


def test_the_release_binary_has_every_protection():
    judges.need("quipu")
    need_readelf()
    if os.environ.get("QUIPU_BUILD") != "Release":
        pytest.skip(f"a build of type {os.environ.get('QUIPU_BUILD')}: only Release is hardened")
    assert unprotected(os.environ["QUIPU_BINARY"]) == []


def test_the_check_names_every_protection_that_is_missing(tmp_path):
    need_readelf()
    if not shutil.which("gcc"):
        judges.missing("gcc", "gcc is not installed: it makes a program without protection")
    source, program = tmp_path / "bare.c", str(tmp_path / "bare")
    source.write_text('#include <stdio.h>\nint main(int n, char** v) { char b[9]; sprintf(b, "%s", v[0]); puts(b); }\n')
    flags = ["-no-pie", "-fno-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-fcf-protection=none", "-w",
             "-Wl,-z,norelro,-z,lazy,-z,execstack,-rpath,/nowhere"]
    subprocess.run(["gcc", *flags, "-o", program, source], check=True)
    assert unprotected(program) == ["position independent", "relocations read-only", "bound at start",
                                    "no executable stack", "stack protector", "fortified calls", "branch protection",
                                    "no search path of libraries"]


def analyze(*words):
    if not shutil.which("systemd-analyze"):
        judges.missing("systemd", "systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=LIMIT_SECONDS,
                          env={**os.environ, "SYSTEMD_COLORS": "0"})


def exposure(unit):
    done = analyze("security", "--offline=true", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found.group(1))


def test_the_unit_is_valid_and_leaves_little_exposed(tmp_path):
    judges.need("quipu")
    with open(UNIT, encoding="utf-8") as file:
        text = file.read()
    installed = tmp_path / "quipu.service"
    installed.write_text(text.replace("/usr/bin/quipu", os.environ["QUIPU_BINARY"]))
    verified = analyze("verify", "--man=no", str(installed))
    assert verified.returncode == 0 and verified.stderr == "", verified.stderr
    found = exposure(installed)
    print(f"exposure of quipu.service: {found}, at most {EXPOSURE_MAX}")
    assert found <= EXPOSURE_MAX


def test_a_unit_without_its_sandbox_is_found_exposed(tmp_path):
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposure(bare) > EXPOSURE_MAX
    wrong = tmp_path / "wrong.service"
    wrong.write_text("[Service]\nExecStart=/bin/true\nNoSuchKey=yes\n")
    assert analyze("verify", "--man=no", str(wrong)).stderr != ""
