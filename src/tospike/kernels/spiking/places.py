"""The table through which the compiled kernels find sizes and buffers: one row per operation.

A tensor is stored channels last: P places (pixels) of C channels. It is either *bits* (spikes,
ceil(C / 64) words of 64 bits per place) or *floats* (C rounded up to a multiple of 16 per place).
A slot is one sample in one time step; slot = t N + n. A constant tensor has one slot per sample.

Sizes and addresses of the input tensor begin with IN or stand without prefix, of the output with
OUT. Buffers, all with one part per slot unless said otherwise:

    entries   place * C + channel of the active inputs, int32, ascending; values: float32 of them
    pointers  P + 1 positions in the entries, int32
    event     1 where the slot goes event-driven, 0 where it goes dense; int64
    image     dense inputs with their padding, float32
    current   of the dense path, float32
    rows      weights (taps, C, lanes): one row per input of a place, float32 or int16
    panels    the same (blocks of 16 outputs, taps, C, 16), float32
    scratch   one part per thread
"""

from __future__ import annotations

from enum import IntEnum, auto

#: operations: values of KIND
(
    COPY_INPUT, PREPARE, MULTIPLY, SYNAPSES, FIRE, COUNT, POOL_BITS, POOL_FLOATS, UNPACK, PERMUTE,
    ADD, OUTPUT,
) = range(12)  # fmt: skip
#: samples x steps that one layer works through before the next takes over, at most
SLOTS = 64
#: kinds of tensors
FLOATS, BITS = range(2)
#: kinds of rows: float32, int16 with exact sums
FLOAT32, INT16 = range(2)
#: reset kinds: 2 if delayed, plus 1 if hard
SOFT, HARD, SOFT_LATE, HARD_LATE = range(4)


class _Counted(IntEnum):
    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[int]) -> int:
        return count


class Place(_Counted):
    """Columns of the table of operations."""

    KIND = auto()
    CONSTANT = auto()  # 1: computed once per sample, not per step
    IN = auto()
    IN_KIND = auto()
    IN_CONSTANT = auto()
    IN_BYTES = auto()  # of a slot
    P = auto()
    C = auto()
    STRIDE = auto()  # floats from place to place
    WORDS = auto()
    OUT = auto()
    OUT_BYTES = auto()
    P_OUT = auto()
    C_OUT = auto()
    STRIDE_OUT = auto()
    WORDS_OUT = auto()
    H = auto()
    W = auto()
    H_OUT = auto()
    W_OUT = auto()
    KH = auto()
    KW = auto()
    SY = auto()
    SX = auto()
    PY = auto()
    PX = auto()
    DY = auto()
    DX = auto()
    GROUPS = auto()
    ROWS = auto()
    ROW_KIND = auto()
    LANES = auto()
    EXACT_EVENTS = auto()  # additions that an int16 sum can take
    PANELS = auto()
    SCALE = auto()
    BIAS = auto()
    FAN_OUT = auto()  # synapses of every input place per channel; int64
    LIMITS = auto()  # operations up to which a slot of 1, 2, ..., SLOTS goes event-driven; int64
    STATISTIC = auto()  # row of the statistics
    ENTRIES = auto()
    VALUES = auto()
    POINTERS = auto()
    EVENT = auto()
    ENTRY_ROOM = auto()  # entries per slot
    IMAGE = auto()
    IMAGE_BYTES = auto()
    IMAGE_W = auto()
    IMAGE_H = auto()
    CURRENT = auto()
    OFFSETS = auto()  # bytes of every run of the dense path
    RUNS = auto()
    RUN_LENGTH = auto()
    PARTS = auto()  # parts of the output places, for threads
    BLOCKS = auto()  # parts of the channels whose weights stay in the second cache
    BLOCKS_FROM = auto()  # slots of a call from which it is cut into them
    BLOCK = auto()  # channels of one, a multiple of 64 if there are several
    FIRES = auto()  # 1: the neurons follow in the same operation
    V = auto()
    THRESHOLD = auto()
    DECAY = auto()
    GAIN = auto()
    PARAMETER_STRIDE = auto()  # 0: per channel
    RESET = auto()
    RESET_KIND = auto()
    INITIAL = auto()
    INITIAL_STRIDE = auto()  # 0: per channel
    MAX_POOL = auto()
    INDEX = auto()  # permutation, or the table of the summands
    SUMMANDS = auto()
    SCRATCH = auto()
    SCRATCH_BYTES = auto()
    EVENTS_AT = auto()  # where in the scratch, behind the runs of a place: its events
    FACTORS_AT = auto()  # their values
    SUMS_AT = auto()
    WIDE_AT = auto()
    CURRENT_AT = auto()
    BLOCK_AT = auto()
    SPARE_AT = auto()
    IDLE_AT = auto()  # currents without events
    IDLE_V_AT = auto()  # what becomes of neurons without events: potentials and spikes
    IDLE_BITS_AT = auto()
    TOUCHED_AT = auto()  # which places of a row events reach, at any step and by step


class Frame(_Counted):
    """What changes from call to call."""

    STEPS = auto()  # of this call
    SAMPLES = auto()
    ALL_STEPS = auto()  # of the arrays of the caller
    ALL_SAMPLES = auto()
    FIRST_STEP = auto()
    FIRST_SAMPLE = auto()
    INPUT = auto()  # address of the caller's input
    OUTPUT = auto()  # address of the accumulated outputs, float64
    STATISTICS = auto()  # (rows, ALL_STEPS, ALL_SAMPLES) int64
    PATHS = auto()  # the same shape, uint8
    BAD = auto()  # set to 1 by an input that is not finite
    FRESH = auto()  # 1: from the initial potentials
    LAST = auto()  # 1: the potentials afterwards are not needed
    SKIP_CONSTANT = auto()  # 1: what is constant is known from an earlier step
    KEEP = auto()  # 1: outputs are those of the step alone, not accumulated
