#!/usr/bin/env python3
"""Feeds every prefix of install.sh to a shell, as a download that was cut there, and looks for any effect.

An effect is a program that was started (every name the shell could look up is a stub that leaves a mark), a file that
appeared, or anything on stdout. usage: prefixes.py SCRIPT SHELL...   Prints one line a shell; exit 1 if one had an effect.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile


def stubs(folder, script):
    """A stub for every word of the script and every common tool, so that nothing started goes unnoticed."""
    names = set(re.findall(r"[A-Za-z][A-Za-z0-9_.-]*", script)) | {"ls", "w", "id", "rm", "cp", "mv"}
    # Every beginning of a word may be what a cut line tries to run.
    names |= {name[:n] for name in set(names) for n in range(1, len(name))}
    body = f'#!/bin/sh\necho "$0" >>{folder}/../mark\n'
    original = os.path.join(folder, "0stub")
    with open(original, "w", encoding="utf-8") as stub:
        stub.write(body)
    os.chmod(original, 0o755)
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            os.link(original, path)


def run(job):
    shell, script, lengths = job
    found = []
    with tempfile.TemporaryDirectory() as top:
        programs, home = os.path.join(top, "bin"), os.path.join(top, "home")
        os.mkdir(programs)
        os.mkdir(home)
        stubs(programs, script.decode())
        mark = os.path.join(top, "mark")
        env = {"PATH": programs, "HOME": home, "WINDFLOW_ROOT": os.path.join(top, "root")}
        for length in lengths:
            done = subprocess.run(shell, input=script[:length], env=env, cwd=home, capture_output=True, check=False)
            if os.path.exists(mark) or os.listdir(home) or len(os.listdir(top)) != 2 or done.stdout:
                found.append(length)
                if os.path.exists(mark):
                    os.unlink(mark)
    return found


def main():
    path, shells = sys.argv[1], sys.argv[2:]
    script = open(path, "rb").read().rstrip(b"\n")
    # The last character completes the script: that is the one that runs.
    lengths = list(range(len(script)))
    failed = False
    for shell in shells:
        program = shutil.which(shell.split()[0])
        if not program:
            print(f"{shell}: not installed")
            failed = True
            continue
        command = [program, *shell.split()[1:]]
        workers = max(2, os.cpu_count() or 2)
        jobs = [(command, script, lengths[n::workers]) for n in range(workers)]
        with concurrent.futures.ProcessPoolExecutor(workers) as pool:
            effects = sorted(sum(pool.map(run, jobs), []))
        print(f"{shell}: {len(lengths)} prefixes, {len(effects)} with an effect{' ' + str(effects[:5]) if effects else ''}")
        failed = failed or bool(effects)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
