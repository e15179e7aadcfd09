import stat
from pathlib import Path

from scripts import stack
from scripts.processes import ROOT
from strangler_proxy.config import load

PORTS = stack.Ports(1, 2, 3, 4, 5, 6, 7, 8, 9)


def test_an_environment_file_keeps_its_values_and_is_for_its_owner_only(tmp_path: Path) -> None:
    values = stack.environment(tmp_path / "a folder", PORTS, stack.new_secrets())
    stack.write_environment(tmp_path / "env", values)
    assert stack.read_environment(tmp_path / "env") == values
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_no_two_installations_share_a_secret() -> None:
    one, other = stack.new_secrets(), stack.new_secrets()
    assert not set(one.values()) & set(other.values())
    assert len(one["JWT_SECRET"].encode()) >= 32


def test_routes_are_copied_for_other_ports_and_stay_the_same(tmp_path: Path) -> None:
    original, copy = ROOT / "strangler.yaml", tmp_path / "strangler.yaml"
    stack.write_routes(original, copy, PORTS)
    before, after = load(original), load(copy)
    assert after.address.port == PORTS.proxy
    for name in ("monolith", *stack.SERVICES):
        assert after.upstreams[name].origins[0].address.port == getattr(PORTS, name)
    assert [route.match for route in after.routes] == [route.match for route in before.routes]
    assert "# Auth: moved by scripts/step_2_auth.py" in copy.read_text()


def test_a_stand_in_runs_only_where_its_variable_leads_to_it(tmp_path: Path) -> None:
    made = stack.environment(tmp_path, PORTS, stack.new_secrets())
    assert [p.name for p in stack.stand_ins(tmp_path, PORTS, made)] == list(stack.STAND_INS)
    elsewhere = {
        **made,
        "S3_ENDPOINT_URL": f"http://minio:{PORTS.object_store}",
        "SMTP_URL": "smtp://127.0.0.1:2500",
        "STRIPE_API_BASE": f"http://localhost:{PORTS.stripe_double}/",
    }
    assert [p.name for p in stack.stand_ins(tmp_path, PORTS, elsewhere)] == ["stripe_double"]
