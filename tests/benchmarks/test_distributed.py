"""Bytes read from a compiled program, and the figures on paper."""

import pytest

from benchmarks import distributed

PROGRAM = """HloModule jit_f, entry_computation_layout={()->f32[]}

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %r = f32[] add(%a, %b)
}

%inner (p: (s32[], f32[20,5])) -> f32[20,5] {
  %all-reduce.2 = (f32[20,5]{1,0}, f32[20,1]{1,0}) all-reduce(%x, %y), channel_id=2, to_apply=%add
}

%body.1 (p: (s32[], f32[20,5])) -> (s32[], f32[20,5]) {
  %call.1 = f32[20,5]{1,0} call(%p), to_apply=%inner
  %all-gather.7 = f64[4,3]{1,0} all-gather(%z), channel_id=3, dimensions={0}
}

%cond.1 (p: (s32[], f32[20,5])) -> pred[] {
  ROOT %c = pred[] constant(true)
}

ENTRY %main (a: f32[8,2]) -> f32[8,2] {
  %all-reduce.9 = s32[7]{0} all-reduce(%a), channel_id=1, to_apply=%add
  %while.1 = (s32[], f32[20,5]) while(%t), condition=%cond.1, body=%body.1
}
"""


def test_collectives_inside_the_loop_and_before_it():
    found = sorted(distributed.collectives(PROGRAM))
    assert found == [(False, "all-reduce", 28), (True, "all-gather", 96), (True, "all-reduce", 480)]


def test_a_ring():
    assert distributed.through_a_ring("all-reduce", 100, 1) == 0
    assert distributed.through_a_ring("all-reduce", 100, 4) == 150
    assert distributed.through_a_ring("all-gather", 100, 4) == 75


@pytest.mark.parametrize("units, each", [(100, 4812), (512, 24588)])
def test_bytes_on_paper(units, each):
    assert distributed.bytes_an_item(units) == each
    assert distributed.bytes_a_step(units, 32, 2048) == 4 * (32 * 3 * units + 2080 * (units + 1))
