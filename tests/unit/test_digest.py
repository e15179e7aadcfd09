from pathlib import Path

from strangler_proxy.config import parse
from strangler_proxy.serve.supervisor import digest


def test_renewed_certificate_under_the_same_name_is_a_new_configuration(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text("old")
    key.write_text("key")
    text = f"""
tls: {{certificate: {certificate}, key: {key}}}
upstreams: {{monolith: {{url: "http://127.0.0.1:1"}}}}
default: monolith
"""
    before = digest(parse(text))
    assert digest(parse(text)) == before
    certificate.write_text("new")
    assert digest(parse(text)) != before
