"""Whole texts of the errors of technologies and prices."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tospike.actions import ActionCounts, count
from tospike.errors import RangeError, TechnologyError, UnknownNameError
from tospike.pricing import price
from tospike.technology import load, names

GOOD = """
title: a test
source: horowitz_2014
node_nm: 45
groups:
  - driver: mac
    spread: one source
    entries:
      - {component: alu, actions: [mac], bits: 8, energy: "1 pJ", locator: p. 1, quoted: 1 pJ}
sram:
  driver: sram
  spread: one source
  access_bits: 64
  reference_capacity: 8 KiB
  points:
    - {capacity: 8 KiB, energy: 10 pJ, locator: p. 1, quoted: 10 pJ}
    - {capacity: 32 KiB, energy: 20 pJ, locator: p. 1, quoted: 20 pJ}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_a_file_of_the_user_is_loaded(tmp_path: Path) -> None:
    table = load(write(tmp_path, GOOD))
    assert table.name == "mine"
    assert load(str(tmp_path / "mine.yaml")) == table


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load("horowitz_45nm")
    assert str(caught.value) == (
        "cannot find the technology 'horowitz_45nm'\n"
        "  received: 'horowitz_45nm'\n"
        "  where: or a path that ends in .yaml\n"
        f"  allowed: {', '.join(names())}\n"
        "  fix: did you mean 'horowitz_2014_45nm'?"
    )


def test_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml"
    with pytest.raises(TechnologyError) as caught:
        load(path)
    assert str(caught.value) == (
        "cannot load the technology file 'nowhere.yaml'\n"
        "  received: No such file or directory\n"
        f"  where: {path}\n"
        f"  allowed: an existing YAML file, or one of: {', '.join(names())}\n"
        "  fix: check the path"
    )


def test_faults_of_form_are_listed_all_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("title: a test", "titel: a test").replace("bits: 8", "bits: zero")
    text = text.replace("quoted: 10 pJ", "qoted: 10 pJ")
    path = write(tmp_path, text)
    with pytest.raises(TechnologyError) as caught:
        load(path)
    assert str(caught.value) == (
        "cannot load the technology file 'mine.yaml'\n"
        "  received: 5 fault(s) in its form\n"
        f"  where: {path}\n"
        "  allowed: the form described in docs/technologies.md\n"
        "  fix: mend the listed keys\n"
        "  reasons:\n"
        "    - title: Field required\n"
        "    - groups.0.entries.0.bits: Input should be a valid integer, unable to parse string "
        "as an integer\n"
        "    - sram.points.0.quoted: Field required\n"
        "    - sram.points.0.qoted: Extra inputs are not permitted\n"
        "    - titel: Extra inputs are not permitted"
    )


def test_faults_of_values_are_listed_all_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace("actions: [mac]", "actions: [mac, fly, mac_gated]")
        .replace('energy: "1 pJ"', 'energy: "1 parsec"')
        .replace("energy: 20 pJ", "energy: 2 pJ")
        .replace("source: horowitz_2014", "source: my_notes")
    )
    path = write(tmp_path, text)
    with pytest.raises(TechnologyError) as caught:
        load(path)
    assert caught.value.reasons == (
        "groups.mac.entries.0: cannot read '1 parsec' as energy",
        "groups.mac.entries.0: source 'my_notes' is not in the bibliography",
        "groups.mac.entries.0: there is no action alu.fly",
        "groups.mac.entries.0: price gated actions with gated_fraction",
        "sram.points.0: source 'my_notes' is not in the bibliography",
        "sram.points.1: source 'my_notes' is not in the bibliography",
    )


def test_a_table_that_falls_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("energy: 20 pJ", "energy: 2 pJ"))
    with pytest.raises(TechnologyError) as caught:
        load(path)
    assert caught.value.reasons == ("sram.points: energy falls with capacity",)


@pytest.mark.parametrize(
    ("text", "received"),
    [
        ("", "a YAML NoneType"),
        ("- a\n- b\n", "a YAML list"),
        ("just text", "a YAML str"),
        ("a: [1, 2", "text that is no YAML"),
        ("a: 1\na: 2\n", "text that is no YAML"),
        ("\x00\x01\x02", "text that is no YAML"),
        (GOOD[: len(GOOD) // 2], "fault(s)"),
    ],
    ids=["empty", "list", "scalar", "open bracket", "double key", "control bytes", "truncated"],
)
def test_broken_files_give_one_technology_error(tmp_path: Path, text: str, received: str) -> None:
    with pytest.raises(TechnologyError) as caught:
        load(write(tmp_path, text))
    assert received in str(caught.value)


def test_a_file_may_bring_its_own_reference_but_not_change_one(tmp_path: Path) -> None:
    line = "bibliography:\n  {key}: {{authors: A, title: B, venue: C, year: 2026}}\n"
    table = load(
        write(
            tmp_path,
            GOOD.replace("source: horowitz_2014", "source: my_sheet") + line.format(key="my_sheet"),
        )
    )
    assert table.sources == ("my_sheet",)
    with pytest.raises(TechnologyError) as caught:
        load(write(tmp_path, GOOD + line.format(key="horowitz_2014")))
    assert caught.value.reasons == (
        "bibliography: the bibliography key 'horowitz_2014' already names another reference",
    )


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00title: \x80")
    with pytest.raises(TechnologyError, match="no YAML"):
        load(path)


@pytest.mark.parametrize("energy", ["nan pJ", "inf pJ", "-1 pJ", "0 pJ", "1", "pJ", ""])
def test_energies_must_be_positive_and_have_a_unit(tmp_path: Path, energy: str) -> None:
    with pytest.raises(TechnologyError):
        load(write(tmp_path, GOOD.replace('energy: "1 pJ"', f'energy: "{energy}"')))


def test_actions_without_a_price_are_listed_all_at_once() -> None:
    counts = ActionCounts(
        (
            count("a", "sram", "read", "weight", 1, bits=8),
            count("b", "sram", "read", "weight", 1, bits=8),
            count("a", "alu", "ac", "none", 1, bits=16),
            count("a", "core", "synaptic_event", "none", 1, bits=16),
        ),
        model="a test",
    )
    with pytest.raises(TechnologyError) as caught:
        price(counts, "seneca_22nm")
    assert str(caught.value) == (
        "cannot price the counts of a test with 'seneca_22nm'\n"
        "  received: 2 action(s) without a price\n"
        "  where: technology 'seneca_22nm'\n"
        "  allowed: core.synaptic_event\n"
        "  fix: choose a technology that prices them, or leave out the term that counts them\n"
        "  reasons:\n"
        "    - (sram, read, 8 bit)\n"
        "    - (alu, ac, 16 bit)"
    )


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_capacity_must_be_positive(bad: float) -> None:
    with pytest.raises(RangeError, match="sram_bytes is"):
        price(ActionCounts(()), "horowitz_2014_45nm", sram_bytes=bad)


def test_hostile_text_never_gives_anything_but_a_technology_error(tmp_path: Path) -> None:
    """Random edits of a good file, deep nesting, self-reference, random bytes."""
    random = Random(7)
    path = tmp_path / "mine.yaml"
    texts = [b"[" * 600, b"{" * 600, b"a: &a [*a]", b"? [a]: b", b"!!python/none x"]
    for _ in range(25):
        text = bytearray(GOOD.encode())
        for _ in range(random.randint(1, 4)):
            start = random.randrange(len(text))
            text[start : start + random.randrange(20)] = random.randbytes(random.randrange(4))
        texts.append(bytes(text))
    texts += [random.randbytes(random.randrange(100)) for _ in range(15)]
    refused = 0
    for text in texts:
        path.write_bytes(text)
        try:
            load(path)
        except TechnologyError:
            refused += 1
    assert refused > len(texts) // 2
