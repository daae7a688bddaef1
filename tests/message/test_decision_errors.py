"""Bad arguments give one clear error each, with all reasons, before any long work."""

from __future__ import annotations

import numpy as np
import pytest

from tospike.decision.options import Options, check_arguments
from tospike.decision.samples import as_data, split
from tospike.errors import DataError, OptionError

GOOD = {
    "timesteps": (1, 2),
    "accuracy_floor": None,
    "hybrids": 3,
    "samples": 16,
    "options": Options(),
}


def test_all_reasons_at_once() -> None:
    with pytest.raises(OptionError) as caught:
        check_arguments(
            timesteps=(0, 4, True, 2.5),
            accuracy_floor=91.0,
            hybrids=-1,
            samples=0,
            options=Options(weight_bits=0, accuracy_drop=2.0, delta_thresholds=(0.0,)),
            more=("no equation 'ann_x'",),
        )
    assert str(caught.value) == (
        "cannot decide with these arguments\n"
        "  fix: mend every value that is listed\n"
        "  reasons:\n"
        "    - no equation 'ann_x'\n"
        "    - weight_bits is 0; an integer from 2 to 16 is needed\n"
        "    - accuracy_drop is 2.0; 0 to 1 is needed\n"
        "    - delta_thresholds are (0.0,); numbers above 0 are needed\n"
        "    - timesteps holds 0; integers from 1 to 4096 are needed\n"
        "    - timesteps holds True; integers from 1 to 4096 are needed\n"
        "    - timesteps holds 2.5; integers from 1 to 4096 are needed\n"
        "    - accuracy_floor is 91.0; a fraction from 0 to 1 is needed\n"
        "    - hybrids is -1; 0 or more is needed\n"
        "    - samples is 0; 1 or more is needed"
    )


def test_good_arguments_pass() -> None:
    check_arguments(**GOOD)


def test_no_timesteps() -> None:
    with pytest.raises(OptionError, match="no timesteps given"):
        check_arguments(**{**GOOD, "timesteps": ()})


def test_labels_of_the_wrong_length() -> None:
    with pytest.raises(DataError, match="3 labels for 4 samples"):
        as_data(np.zeros((4, 2)), labels=[0, 1, 1])


@pytest.mark.parametrize("empty", [np.zeros((0, 3)), []])
def test_empty_data(empty: object) -> None:
    with pytest.raises(DataError, match="x is empty"):
        as_data(empty)


def test_data_of_no_known_form() -> None:
    with pytest.raises(DataError, match="an object of type dict"):
        as_data({"x": 1})


def test_batches_of_different_shapes() -> None:
    with pytest.raises(DataError, match="different shapes"):
        as_data([np.zeros((2, 3)), np.zeros((2, 4))])


def test_batches_are_joined_with_their_labels() -> None:
    data = as_data([(np.zeros((2, 3)), [0, 1]), (np.ones((1, 3)), [2])])
    assert data.x.shape == (3, 3)
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 2]


def test_calibration_is_held_out() -> None:
    data = as_data((np.arange(1000.0)[:, None], np.arange(1000) % 10))
    samples = split(data, calibration_samples=100)
    assert len(samples.calibration) == 100
    assert len(samples.x) == 900
    assert not set(samples.calibration[:, 0]) & set(samples.x[:, 0])
    assert samples.y is not None
    assert (samples.x[:, 0].astype(int) % 10 == samples.y).all()
    assert any("held out" in text for text in samples.warnings)


def test_given_calibration_data_are_used_and_few_samples_are_said() -> None:
    data = as_data((np.zeros((40, 2)), np.zeros(40, int)))
    samples = split(data, np.ones((5, 2)))
    assert len(samples.x) == 40
    assert samples.calibration.shape == (5, 2)
    assert samples.warnings == (
        "few samples: 40 were scored; one sample is 2.5 points of accuracy",
    )
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        split(data, np.ones((5, 3)))
