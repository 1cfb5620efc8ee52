#!/usr/bin/env python3
"""Feeds every prefix of install.sh to a shell, as a download that was cut there, and looks for any effect.

An effect is a program that was started (every name the shell could look up is a stub that leaves a mark), a file that
appeared, or anything on stdout. usage: prefixes.py [--piped] SCRIPT SHELL...   Prints one line a shell; exit 1 if one had an effect.
Every prefix is fed as a file; the last 300 and every 97th through a pipe as well, with --piped all of them.
"""
import concurrent.futures
import os
import re
import shutil
import sys
import tempfile
import threading

BATCH = 100


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


class Place:
    """A folder where a cut script may do its worst, and a look at what it did."""

    def __init__(self, top, script):
        self.top, self.script = top, script
        programs, self.home = os.path.join(top, "bin"), os.path.join(top, "home")
        os.mkdir(programs)
        os.mkdir(self.home)
        stubs(programs, script.decode())
        self.mark, self.out, self.input = (os.path.join(top, name) for name in ("mark", "out", "input"))
        self.env = {"PATH": programs, "HOME": self.home, "WINDFLOW_ROOT": os.path.join(top, "root")}
        os.chdir(self.home)

    def run(self, shell, lengths, piped):
        """Runs the prefixes, longest first: the file only ever shrinks. A pipe is slower: bash reads it byte by byte."""
        with open(self.input, "wb") as file:
            file.write(self.script)
        for length in sorted(lengths, reverse=True):
            actions = [(os.POSIX_SPAWN_OPEN, 1, self.out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                       (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
            if piped:
                read, write = os.pipe()
                writer = threading.Thread(target=feed, args=(write, self.script[:length]))
                actions.append((os.POSIX_SPAWN_DUP2, read, 0))
            else:
                os.truncate(self.input, length)
                actions.append((os.POSIX_SPAWN_OPEN, 0, self.input, os.O_RDONLY, 0))
            pid = os.posix_spawn(shell[0], shell, self.env, file_actions=actions, setsid=True)
            if piped:
                os.close(read)
                writer.start()
            os.waitpid(pid, 0)
            if piped:
                writer.join()

    def effect(self):
        """Whether anything happened since the last look; puts the place in order."""
        seen = (os.path.exists(self.mark) or bool(os.listdir(self.home)) or os.path.getsize(self.out) > 0
                or set(os.listdir(self.top)) - {"bin", "home", "out", "input"} != set())
        if seen:
            for name in set(os.listdir(self.top)) - {"bin", "home"}:
                path = os.path.join(self.top, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
            for name in os.listdir(self.home):
                path = os.path.join(self.home, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        return seen


def feed(end, text):
    with os.fdopen(end, "wb") as pipe:
        try:
            pipe.write(text)
        except BrokenPipeError:
            pass  # the shell stopped reading at the error it found


def run(job):
    shell, script, lengths, piped = job
    found = []
    with tempfile.TemporaryDirectory() as top:
        place = Place(top, script)
        for start in range(0, len(lengths), BATCH):
            batch = lengths[start:start + BATCH]
            place.run(shell, batch, piped)
            # One look for all; only if there was something, which one it was.
            if place.effect():
                for length in batch:
                    place.run(shell, [length], piped)
                    if place.effect():
                        found.append(length)
        os.chdir("/")
    return found


def tried(pool, command, script, lengths, piped):
    """The lengths that had an effect."""
    workers = max(2, os.cpu_count() or 2)
    jobs = [(command, script, lengths[n::workers], piped) for n in range(workers)]
    return sorted(sum(pool.map(run, jobs), []))


def main():
    options = [word for word in sys.argv[1:] if word.startswith("--")]
    path, *shells = [word for word in sys.argv[1:] if word not in options]
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
        with concurrent.futures.ProcessPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
            # A test that cannot see an effect would prove nothing.
            proof = b"main() { noticed; }\nmain\n"
            if not tried(pool, command, proof, [len(proof)], False):
                sys.exit(f"{shell}: a script that starts a program was not noticed")
            effects = tried(pool, command, script, lengths, False)
            piped = lengths if "--piped" in options else lengths[:-300:97] + lengths[-300:]
            effects += tried(pool, command, script, piped, True)
        effects = sorted(set(effects))
        print(f"{shell}: {len(lengths)} prefixes, {len(effects)} with an effect{' ' + str(effects[:5]) if effects else ''}"
              f" ({len(piped)} of them fed through a pipe, too)")
        failed = failed or bool(effects)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
