"""The certificate that rekognition-local shows, and the authority that the recognizer is told to trust for it."""

import shutil
from pathlib import Path

from parts import run

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]


def make_certificates(folder: Path) -> None:
    """Make ca.pem and rekognition.pem (certificate and key) once.

    The authority's key is thrown away at once: nothing else can ever be signed with it.
    """
    if folder.exists():
        return
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    run(["openssl", "req", "-x509", *NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem",
         "-subj", "/CN=Labelwire development CA", "-addext", "keyUsage=critical,keyCertSign"], cwd=new)
    run(["openssl", "req", "-x509", *NEW_KEY, "-keyout", "server.key", "-out", "server.pem",
         "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
         "-addext", "extendedKeyUsage=serverAuth"], cwd=new)
    both = new / "rekognition.pem"
    both.touch(mode=0o600)
    both.write_text((new / "server.pem").read_text() + (new / "server.key").read_text())
    for done_with in ("ca.key", "server.key", "server.pem"):
        (new / done_with).unlink()
    new.rename(folder)
