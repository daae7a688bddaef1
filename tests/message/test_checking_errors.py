"""``tospike check``: what it prints, exit statuses, and every fault of a file at once."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from tospike import cli
from tospike.checking import RULES, parse_claim
from tospike.checking.examples import example_names
from tospike.errors import DataError


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tospike", "check", *words])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


HEAD = "title: t\nsource: {citation: c, locator: l, evidence: constructed}\n"


def test_all_faults_of_a_file_at_once() -> None:
    with pytest.raises(DataError) as caught:
        parse_claim(
            HEAD + "network: {zoo: resnet18, layers: [{kind: conv, in_channels: 3}]}\n"
            "snn: {timesteps: 0, firing_rate: 0.1, spikes_per_synapse: 1}\n"
            "accounting: {mac: 4.6, ac: 0.9 mV, memory: some}\n"
            "claimed: {snn_energy: 3 bananas, ann_operations: 1.8 GFLOP}\ncolour: red\n",
            name="bad.yaml",
        )
    text = str(caught.value)
    assert text.startswith("cannot read the claim 'bad.yaml'")
    for part in (
        "network.layers.0: Value error, a conv layer needs out_channels, kernel, input",
        "snn.timesteps: Input should be greater than or equal to 1",
        "accounting.mac: Input should be a valid string",
        "accounting.ac: '0.9 mV' is not",
        "accounting.memory: Input should be 'none' or 'included'",
        "claimed.snn_energy: '3 bananas' is not",
        "claimed.ann_operations: '1.8 GFLOP' is not",
        "1 MAC = 2 FLOP",
        "colour: Extra inputs are not permitted",
    ):
        assert part in text, part


def test_names_and_quantities_at_once() -> None:
    with pytest.raises(DataError) as caught:
        parse_claim(
            HEAD + "network: {zoo: vgg-16}\naccounting: {formula: magic, static_power: 3 s}\n"
            "claimed: {ratio: good}\n",
            name="names.yaml",
        )
    reasons = "\n".join(caught.value.reasons)
    assert len(caught.value.reasons) == 4
    assert "did you mean 'vgg16'?" in reasons
    assert "accounting.formula: no model 'magic'" in reasons
    assert "claimed.ratio: 'good' is not a number above 0" in reasons


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("", "an empty file"),
        ("- 1\n- 2\n", "a list"),
        ("title: [", "text that is no YAML"),
        (HEAD + "network: {}\nclaimed: {}\n", "give one of zoo, layers, totals"),
        (HEAD + "network: {zoo: vgg16, layers: [{kind: linear, in_features: 1, out_features: 1}]}\n"
         "claimed: {}\n", "give either zoo or layers, not both"),
        (HEAD + "network: {totals: {macs: 0}}\nclaimed: {}\n", "network.totals.macs"),
        (HEAD + "network: {totals: {macs: .nan}}\nclaimed: {}\n", "network.totals.macs"),
        (HEAD + "network: {totals: {}}\nsnn: {firing_rate: .inf}\nclaimed: {}\n", "firing_rate"),
        (HEAD + "network: {totals: {}}\nann: {zero_fraction: 58}\nclaimed: {}\n", "zero_fraction"),
        (HEAD + "network: {layers: [{name: a, kind: linear, in_features: 1, out_features: 1}, "
         "{name: a, kind: linear, in_features: 1, out_features: 1}]}\nclaimed: {}\n",
         "'a' is used twice"),
        (HEAD + "network: {totals: {macs: 1 MMAC, first_layer_macs: 5 GMAC}}\nclaimed: {}\n",
         "first_layer_macs 5 GMAC are more than all macs 1 MMAC"),
        (HEAD + "network: {totals: {}}\nsnn: {timesteps: 4, virtual_steps: 1, "
         "spikes_per_synapse: 9}\nclaimed: {}\n", "9 binary spikes in 4 inner steps"),
        (HEAD + "network: {totals: {}}\nsnn: {timesteps: 4, virtual_steps: 2, firing_rate: 1.2}\n"
         "claimed: {}\n", "1.2 binary spikes per neuron and inner step"),
        (HEAD + "network: {totals: {macs: 1e300}}\nclaimed: {ratio: 1e-300}\n",
         "claimed.ratio: 1e-300 is not"),
        (HEAD + "network: {totals: {}}\nsnn: {spikes_per_synapse: 1e200}\nclaimed: {}\n",
         "snn.spikes_per_synapse"),
        (HEAD + "network: {totals: {}}\nclaimed: {}\nnotes: [\"\\e[31mred\"]\n",
         "control characters"),
    ],
)  # fmt: skip
def test_bad_claims(body: str, part: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_claim(body, name="bad.yaml")
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("claim", "part"),
    [
        ("network: {layers: [{kind: conv, in_channels: 1, out_channels: 1, kernel: 5, "
         "input: [3, 3]}]}\n", "a kernel of [5, 5] on an input of [3, 3]"),
        ("network: {zoo: vgg9}\nsnn: {timesteps: 2, layer_firing_rates: {conv99: 0.1}}\n",
         "no layer 'conv99'"),
    ],
)  # fmt: skip
def test_faults_that_need_the_network(claim: str, part: str) -> None:
    from tospike.checking import check

    with pytest.raises(DataError) as caught:
        check(parse_claim(HEAD + claim + "claimed: {}\n", name="bad.yaml"))
    assert part in str(caught.value)


def test_sums_of_spikes_may_hold_two(tmp_path: Path) -> None:
    body = HEAD + "network: {totals: {}, residual: sew_add}\nclaimed: {}\n"
    claim = parse_claim(
        body + "snn: {timesteps: 4, virtual_steps: 1, firing_rate: 1.2}\n", name="sum"
    )
    assert claim.form.snn.firing_rate == 1.2


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    """YAML of megabytes takes minutes, and a device has no end."""
    from tospike.checking import read_claim

    path = tmp_path / "large.yaml"
    path.write_text(HEAD + "notes:\n" + "  - x\n" * 100_000)
    with pytest.raises(DataError, match="more than 500,000 bytes"):
        read_claim(path)


def test_memory_counted_without_a_formula(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A measured claim has nothing to recompute by its own formula; it is shown all the same."""
    path = tmp_path / "measured.yaml"
    path.write_text(
        HEAD + "network: {totals: {macs: 100 MMAC, neurons: 20 k, parameters: 1 M}}\n"
        "snn: {timesteps: 4, firing_rate: 0.1}\n"
        "accounting: {memory: included, static: included}\n"
        "claimed: {ann_energy: 41.2 mJ, snn_energy: 30.1 mJ}\n"
    )
    status, out, err = run(capsys, monkeypatch, str(path))
    assert (status, err) == (0, "")
    assert "the claim states no formula" in out
    assert "Ottati 2023" in out


def test_exit_statuses(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = run(capsys, monkeypatch, "clean")
    assert (status, "nothing found" in out) == (0, True)
    status, out, _ = run(capsys, monkeypatch, "planted_rate_twice", "clean")
    assert status == 1
    assert "rate_twice" in out
    assert "corrected" in out
    assert run(capsys, monkeypatch, "planted_rate_twice", "--exit-zero")[0] == 0
    assert run(capsys, monkeypatch, "fwformer_cifar10")[0] == 0  # warnings only


def test_two_bad_files_are_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text("title: t\n")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    status, out, err = run(
        capsys, monkeypatch, str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"), "clean"
    )
    assert (status, out) == (2, "")
    assert "read 2 of 3 claims" in err
    assert "a.yaml: source: Field required" in err
    assert "b.yaml: it is no UTF-8 text" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "--template"),
        (["/nowhere.yaml"], "No such file"),
        (["--example", "claen"], "did you mean 'clean'?"),
        (["clean", "--format", "word"], "allowed: csv, json, latex, markdown"),
        (["clean", "--format", "csv", "--json"], "--json and --format at once"),
    ],
)
def test_bad_arguments(
    words: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, out, err = run(capsys, monkeypatch, *words)
    assert (status, out) == (2, "")
    assert part in err


def test_json_and_tables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = run(capsys, monkeypatch, "planted_per_step", "clean", "--json")
    assert status == 1
    plain = json.loads(out)
    assert plain["errors"] == 1
    assert [claim["claim"] for claim in plain["claims"]] == ["planted_per_step.yaml", "clean.yaml"]
    assert len(plain["claims"][0]["outcomes"]) == len(RULES)
    assert plain["claims"][0]["outcomes"][0]["rule"] == "per_step"
    for format in ("csv", "latex", "markdown", "json"):
        status, out, _ = run(capsys, monkeypatch, "clean", "--format", format)
        assert status == 0
        assert "Dampfhoffer" in out


def test_information(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = run(capsys, monkeypatch, "--list-rules", "--format", "csv")
    rows = list(csv.reader(line for line in io.StringIO(out) if not line.startswith("#")))
    assert [row[0] for row in rows[1:]] == list(RULES)
    status, out, _ = run(capsys, monkeypatch, "--list-examples")
    assert out.split() == list(example_names())
    status, out, _ = run(capsys, monkeypatch, "--template")
    assert parse_claim(out, name="template").form.title
    status, out, _ = run(capsys, monkeypatch, "--example", "clean")
    assert status == 0
    assert out.startswith("# Constructed")
