"""Published models that are not there, or that name what is not there: one clear error each."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

import tospike as ts
from tospike.decision import analyze
from tospike.decision.published import chosen_models
from tospike.equations import published as registry
from tospike.errors import OptionError, UnknownNameError


def test_one_unknown_model_gets_the_nearest_spelling() -> None:
    with pytest.raises(UnknownNameError) as caught:
        chosen_models("otati")
    lines = str(caught.value).splitlines()
    assert lines[0] == "cannot find the published model 'otati'"
    assert lines[-1] == "  fix: did you mean 'ottati'?"
    allowed = lines[2].removeprefix("  allowed: ").split(", ")
    assert set(allowed) == {"all", "none", *registry.PUBLISHED}


def test_all_unknown_models_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        chosen_models(["ottati", "horovitz", "nobody"])
    assert caught.value.reasons == (
        "there is no published model 'horovitz'",
        "there is no published model 'nobody'",
    )


@pytest.mark.parametrize("asked", ["", "ottati,,compute_only", 3, [1, 2], True])
def test_what_names_no_models(asked: object) -> None:
    with pytest.raises(OptionError) as caught:
        chosen_models(asked)
    assert str(caught.value) == (
        "cannot choose published models\n"
        f"  received: {asked!r}\n"
        '  allowed: "all", "none", keys with commas between them, or a sequence of keys\n'
        "  fix: tospike analyze --models all"
    )


def test_an_entry_that_names_nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    good = registry.PUBLISHED["ottati"]
    table = {
        "ottati": good,
        "a": replace(good, key="a", ann="ann_nobody", technology="graphene"),
        "b": replace(good, key="b", ann=good.snn),
    }
    monkeypatch.setattr(registry, "PUBLISHED", table)
    with pytest.raises(OptionError) as caught:
        chosen_models("all")
    assert str(caught.value) == (
        "cannot use the table of published models\n"
        "  where: tospike.equations.published\n"
        "  allowed: keys of MODELS, one of each mode, and names of technologies\n"
        "  fix: mend the listed entries\n"
        "  reasons:\n"
        "    - a: there is no equation 'ann_nobody'\n"
        "    - a: there is no technology 'graphene'\n"
        "    - b: 'snn_ottati' counts 'snn', not 'ann'"
    )
    assert chosen_models("ottati") == (good,)


def test_analyze_says_it_before_it_runs() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'compute_only'"):
        analyze("vgg16", models="compute_onli")


def test_with_other_faults_all_are_said_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        ts.analyze("vgg16", models="compute_onli", timesteps=(0,))
    assert caught.value.reasons == (
        "cannot find the published model 'compute_onli' (received 'compute_onli')",
        "timesteps holds 0; integers from 1 to 4096 are needed",
    )


def test_the_command_line_prints_it_and_ends_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tospike", "analyze", "vgg16", "--models", "dampfhofer_lif"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(
        "tospike: cannot find the published model 'dampfhofer_lif'\n"
        "  received: 'dampfhofer_lif'\n"
        "  allowed: all, "
    )
    assert "fix: did you mean 'dampfhoffer_lif'?" in done.stderr
