from pathlib import Path

import pytest

from strangler_proxy.config import Config, ConfigError, parse
from strangler_proxy.serve.edition import Edition
from tests.wire_tools.certificates import Authority


def config(certificate: Path, key: Path) -> Config:
    text = f"""
tls: {{certificate: {certificate}, key: {key}}}
upstreams: {{monolith: {{url: "http://127.0.0.1:1"}}}}
default: monolith
"""
    return parse(text)


def test_renewed_certificate_under_the_same_name_is_a_new_configuration(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    values = config(*authority.certificate("localhost"))
    before = Edition.of(values, 1)
    assert Edition.of(values, 2).digest == before.digest
    authority.certificate("localhost")
    assert Edition.of(values, 2).digest != before.digest


def test_certificate_and_key_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, _ = authority.certificate("one.test")
    _, key = authority.certificate("other.test")
    with pytest.raises(ConfigError, match=r"tls: files cannot be used: .*mismatch"):
        Edition.of(config(certificate, key), 1)
    with pytest.raises(ConfigError, match=r"tls: files cannot be used: .*No such file"):
        Edition.of(config(certificate, tmp_path / "missing"), 1)
