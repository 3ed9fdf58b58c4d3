"""The sources of scripts/survey: packages of PyPI, crates.io and Debian, each at one version, unpacked once.

Nothing that a package holds is run to get it.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass

# pip asks a source package's own build for its metadata, which would run foreign code and often needs CMake or
# PyTorch. This module takes the place of the build, and answers with what the package says of itself.
BACKEND = """\
import email, pathlib, shutil

def get_requires_for_build_wheel(settings=None):
    return []

def prepare_metadata_for_build_wheel(folder, settings=None):
    package = email.message_from_string(pathlib.Path("PKG-INFO").read_text())
    info = pathlib.Path(folder) / f"{package['Name'].replace('-', '_')}-{package['Version']}.dist-info"
    info.mkdir()
    shutil.copy("PKG-INFO", info / "METADATA")
    return info.name

class Legacy:
    get_requires_for_build_wheel = staticmethod(get_requires_for_build_wheel)
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)

__legacy__ = Legacy
"""
LIBRARIES = re.compile(r"\.(so|a|bc|lib|dll|dylib)(\.[0-9.]+)?$")


class NoSources(Exception):
    """The sources cannot be had; the text says why."""


@dataclass(frozen=True)
class Source:
    """A package. `kind` is wheel, sdist, crate, debian, or folder for what only --from has. Of an archive, the files
    whose paths begin with one of `keep` are unpacked. A version that Debian no longer has needs a newer one here."""

    name: str
    kind: str
    package: str = ""
    version: str = ""
    keep: tuple = ("",)


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in lines if re.search("error|err:|404|no matching", line, re.IGNORECASE)]
        raise NoSources(f"{command[0]} failed: {(errors or lines or ['without a word'])[-1].strip()}")
    return done.stdout


class Store:
    """The folder of the sources. What `given` holds under a source's name is taken in its place."""

    def __init__(self, folder, given):
        self.folder, self.given = folder, given
        self.work = folder / "fetching"
        self.apt = None

    def get(self, source):
        """The folder of a source."""
        given = self.given / source.name if self.given else None
        has_given = given is not None and given.is_dir()
        if has_given and not (given / "HEAD").is_file():
            return given.resolve()
        into = self.folder / source.name
        mark = into / ".survey"
        wanted = f"{source.kind} {source.package} {source.version}" if not has_given else str(given.resolve())
        if mark.is_file() and mark.read_text() == wanted:
            return into
        shutil.rmtree(self.work, ignore_errors=True)
        fresh = self.work / "fresh"
        fresh.mkdir(parents=True)
        if has_given:
            self.from_git(given, fresh)
        else:
            print(f"survey: fetching {wanted}, once", file=sys.stderr)
            getattr(self, f"from_{source.kind}")(source, fresh)
        (fresh / ".survey").write_text(wanted)
        shutil.rmtree(into, ignore_errors=True)
        fresh.rename(into)
        shutil.rmtree(self.work)
        return into

    def from_folder(self, source, fresh):
        raise NoSources(f"--from has no folder {source.name}")

    def from_git(self, given, fresh):
        """The newest commit of a bare repository, less the files that it lacks."""
        git = ("git", "--git-dir", given)
        files = [line.split("\t") for line in run(*git, "ls-tree", "-r", "HEAD").splitlines()]
        objects = "".join(details.split()[2] + "\n" for details, _ in files)
        found = run(*git, "cat-file", "--batch-check", input=objects).splitlines()
        lacking = [f":(exclude,literal){path}" for (_, path), state in zip(files, found) if state.endswith("missing")]
        run(*git, "archive", "--output", self.work / "head.tar", "HEAD", ".", *lacking)
        with tarfile.open(self.work / "head.tar") as archive:
            archive.extractall(fresh, filter="data")

    def from_wheel(self, source, fresh):
        self.pip("--only-binary=:all:", f"{source.package}=={source.version}")
        with zipfile.ZipFile(next(self.work.glob("*.whl"))) as archive:
            for name in archive.namelist():
                if name.startswith(source.keep) and not LIBRARIES.search(name):
                    archive.extract(name, fresh)

    def from_sdist(self, source, fresh):
        backend = self.work / "backend"
        for name in ("setuptools/build_meta.py", "scikit_build_core/build.py"):
            (backend / name).parent.mkdir(parents=True)
            (backend / name).parent.joinpath("__init__.py").write_text("")
            (backend / name).write_text(BACKEND)
        self.pip("--no-binary=:all:", "--no-build-isolation", "--use-pep517", f"{source.package}=={source.version}",
                 env=os.environ | {"PYTHONPATH": str(backend)})
        self.unpack(next(self.work.glob("*.tar.gz")), source, fresh)

    def pip(self, *words, **options):
        run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--dest", self.work, *words, **options)

    def from_crate(self, source, fresh):
        asking = self.work / "asking"
        (asking / "src").mkdir(parents=True)
        (asking / "src/lib.rs").write_text("")
        (asking / "Cargo.toml").write_text(
            '[package]\nname = "asking"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n'
            f'[dependencies]\n{source.package} = "={source.version}"\n')
        packages = json.loads(run("cargo", "metadata", "--format-version=1", cwd=asking))["packages"]
        found = next(pathlib.Path(p["manifest_path"]).parent for p in packages if p["name"] == source.package)
        shutil.copytree(found, fresh, symlinks=True, dirs_exist_ok=True)

    def from_debian(self, source, fresh):
        self.apt = self.apt or self.apt_options()
        downloads = self.work / "debian"
        downloads.mkdir()
        wanted = f"{source.package}={source.version}"
        run("apt-get", *self.apt, "source", "--download-only", "--tar-only", wanted, cwd=downloads)
        for path in downloads.glob("*.orig.tar.*"):
            self.unpack(path, source, fresh)

    def apt_options(self):
        """Options with which apt-get knows the source packages of Debian's releases, from this machine's own mirror."""
        lists = [pathlib.Path("/etc/apt/sources.list"), *pathlib.Path("/etc/apt/sources.list.d").glob("*")]
        text = "\n".join(path.read_text() for path in lists if path.is_file())
        mirror = re.search(r"^(?:deb|URIs:)\s+(?:\[[^]]*\]\s+)?(\S+/debian)/?(?:\s|$)", text, re.MULTILINE)
        if not mirror:
            raise NoSources("no mirror of Debian in /etc/apt")
        folder = self.folder / "apt"
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        key = "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
        (folder / "sources.list").write_text("".join(
            f"deb-src [{key}] {mirror[1]} {release} main contrib\n" for release in ("bookworm", "trixie", "sid")))
        options = ["-q", "-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=-",
                   "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
                   "-o", "APT::Sandbox::User=root"]
        run("apt-get", *options, "update")
        return options

    def unpack(self, path, source, fresh):
        """A source archive without its first folder."""
        with tarfile.open(path) as archive:
            for member in archive:
                member.name = member.name.removeprefix("./").partition("/")[2]
                if member.name and member.name.startswith(source.keep):
                    archive.extract(member, fresh, filter="data")
