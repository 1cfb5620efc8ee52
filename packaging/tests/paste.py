#!/usr/bin/env python3
"""Pastes a line into a terminal and types a secret when asked, as a person would. usage: paste.py SECRET-FILE COMMAND...

Prints what the terminal showed; the exit code is the command's. Fails if the secret is shown, or not asked for within 60 s.
"""
import os
import pty
import select
import sys
import time


def main():
    secret = open(sys.argv[1], encoding="utf-8").read().strip().encode()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(sys.argv[2], sys.argv[2:])
    shown, asked, end = b"", False, time.monotonic() + 180
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
        if not asked and b"nrolment token" in shown:
            asked = True
            os.write(terminal, secret + b"\n")
    else:
        os.kill(pid, 9)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.stdout.write(shown.decode(errors="replace").replace("\r\n", "\n"))
    if not asked:
        sys.exit("the token was not asked for")
    if secret in shown:
        sys.exit("the token was shown on the terminal")
    sys.exit(code)


if __name__ == "__main__":
    main()
