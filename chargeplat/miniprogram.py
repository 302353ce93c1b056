"""Builds the mini-program's pages for browsers, which the web process serves under /h5/.

    python -m chargeplat.miniprogram          # what `make run` does in the background, and a production image once

Needs node. Nothing is done when nothing changed: packages are installed again only when the lock file changed, pages
are built again only when a source, the lock file or the description of the driver API changed. The new pages replace
the old ones in one step, each with a compressed copy beside it. Lines that begin with "- " tell how far it is.

Exit codes: 0 built or up to date, 1 a step failed, 3 there is no node.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SOURCE = BASE_DIR / "miniprogram"
H5_DIR = SOURCE / "dist" / "h5"
"""What is served: index.html and what it names, each with a copy of the same name and .gz behind."""
DIGEST = "sources.sha256"
COMPRESSED = {".html", ".js", ".css", ".json", ".svg"}
NO_NODE = 3
NODE_MAJOR = 20


class BuildError(RuntimeError):
    """A step failed; the message is for the person at the console."""


def main() -> int:
    """Entry point; see the module."""
    if not shutil.which("npm"):
        say(
            f"no node here: /h5/ has no pages until there is node {NODE_MAJOR} or later (Debian: nodejs and npm)"
        )
        return NO_NODE
    try:
        with open(SOURCE / ".build.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two builds in one tree would write the same files
            build()
    except BuildError as error:
        say(f"pages of the mini-program not built: {error}")
        return 1
    return 0


def build() -> None:
    """Install, generate the client's types, build, compress, replace. Raises BuildError."""
    digest = sources_digest()
    if (H5_DIR / DIGEST).is_file() and (H5_DIR / DIGEST).read_text() == digest:
        say("pages of the mini-program are up to date")
        return
    install()
    say("building the pages of the mini-program")
    run("npm", "run", "-s", "api")
    fresh = SOURCE / "dist" / "h5.new"
    shutil.rmtree(fresh, ignore_errors=True)
    run("npm", "run", "-s", "build:h5", UNI_OUTPUT_DIR=str(fresh))
    if not (fresh / "index.html").is_file():
        raise BuildError("the build left no index.html")
    compress(fresh)
    (fresh / DIGEST).write_text(digest)
    old = SOURCE / "dist" / "h5.old"
    shutil.rmtree(old, ignore_errors=True)
    if H5_DIR.exists():
        H5_DIR.rename(old)
    fresh.rename(H5_DIR)
    shutil.rmtree(old, ignore_errors=True)
    say("pages of the mini-program built")


def install() -> None:
    """Install the packages of the lock file, unless they are. Raises BuildError."""
    marker = SOURCE / "node_modules" / ".lock.sha256"
    digest = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    if marker.is_file() and marker.read_text() == digest:
        return
    say("installing packages of the mini-program")
    run("npm", "ci", "--ignore-scripts", "--no-progress", "--loglevel=error")
    marker.write_text(digest)


def sources_digest() -> str:
    """Return the SHA-256 over everything that the pages are made of."""
    files = [path for path in (SOURCE / "src").rglob("*") if path.is_file() and path.name != "schema.d.ts"]
    files += [SOURCE / name for name in ("package.json", "package-lock.json", "vite.config.ts", "index.html")]
    files.append(BASE_DIR / "docs" / "openapi.yaml")
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(str(path.relative_to(BASE_DIR)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def compress(folder: Path) -> None:
    """Put a compressed copy beside each file of text."""
    for path in folder.rglob("*"):
        if path.suffix in COMPRESSED:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def run(*command: str, **environment: str) -> None:
    """Run a step in the mini-program's folder. Raises BuildError with the end of what it said."""
    done = subprocess.run(
        command, cwd=SOURCE, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    sys.stdout.write(done.stdout)
    if done.returncode:
        end = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise BuildError(f"{' '.join(command)} ended with code {done.returncode}\n{end}")


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stdout.write(f"- {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
