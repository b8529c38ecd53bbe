"""Optimizers."""

import numpy as np

from parity.faults.fault import Family, Patches

FAMILY = Family()


@FAMILY.fault("adagrad accumulator starting at 0.1", "trajectory", "bpr-max")
def filled_accumulator() -> Patches:
    from keras_port import GRU4Rec

    build = GRU4Rec.build

    def filled(self, n_items):
        build(self, n_items)
        self.set_optimizer_state({name: np.full_like(v, 0.1) for name, v in self.get_optimizer_state().items()})

    return [(GRU4Rec, "build", filled)]


@FAMILY.fault("adagrad eps outside the root", "update", "bpr-max")
def eps_outside() -> Patches:
    from keras import ops

    from keras_port import optimizers
    from keras_port.optimizers import EPS, read_rows

    adagrad = optimizers.adagrad

    def outside():
        rule = adagrad()

        def dense(g, state):
            new = rule.dense(g, state)[1]
            return g / (ops.sqrt(new.acc) + EPS), new

        def rows(g, state, occurrences):
            step = g / (ops.sqrt(read_rows(state.acc, occurrences) + g * g) + EPS)
            return step, rule.rows(g, state, occurrences)[1]

        return rule._replace(dense=dense, rows=rows)

    return [(optimizers, "adagrad", outside)]


@FAMILY.fault("learning rate decay", "update", "bpr-max")
def decay() -> Patches:
    from keras_port import GRU4Rec

    train_step = GRU4Rec.train_step

    def decayed(self, *arguments, **options):
        before, self.steps_done = self.get_weights(), getattr(self, "steps_done", 0)
        result = train_step(self, *arguments, **options)
        rate = 0.999**self.steps_done  # of a step without momentum: the change is proportional to the rate
        self.set_weights({name: before[name] + rate * (w - before[name]) for name, w in self.get_weights().items()})
        self.steps_done += 1
        return result

    return [(GRU4Rec, "train_step", decayed)]


@FAMILY.fault("momentum ignored", "update", "momentum")
def no_momentum() -> Patches:
    from keras_port import optimizers

    rates_of = optimizers.rates_of
    return [(optimizers, "rates_of", lambda settings: rates_of(settings)._replace(momentum=0.0))]


@FAMILY.fault("adagrad state of a repeated row: last instead of sum", "update", "momentum")
def last_square() -> Patches:
    from keras import ops

    from keras_port import optimizers
    from keras_port.optimizers import Accumulated, read_rows, set_rows

    adagrad = optimizers.adagrad

    def last():
        rule = adagrad()

        def rows(g, state, occurrences):
            sums = read_rows(state.acc, occurrences) + g * g
            acc = set_rows(state.acc, occurrences, ops.take(sums, occurrences.last, axis=0))
            return rule.rows(g, state, occurrences)[0], Accumulated(acc)

        return rule._replace(rows=rows)

    return [(optimizers, "adagrad", last)]


@FAMILY.fault("momentum of a repeated row: sum instead of last", "update", "momentum")
def summed_velocity() -> Patches:
    from keras_port import optimizers
    from keras_port.optimizers import add_rows, read_rows, set_rows

    update_rows = optimizers.update_rows

    def summed(rule, rates, table, read, g, slots, occurrences):
        table, new = update_rows(rule, rates, table, read, g, slots, occurrences)
        delta = rates.lr * rule.rows(g, slots.rule, occurrences)[0]
        kept = set_rows(slots.vel, occurrences, rates.momentum * read_rows(slots.vel, occurrences))
        return table, new._replace(vel=add_rows(kept, occurrences, -delta))

    return [(optimizers, "update_rows", summed)]


@FAMILY.fault("repeated rows applied once", "update", "momentum")
def applied_once() -> Patches:
    from keras import ops

    from keras_port import optimizers
    from keras_port.optimizers import read_rows, set_rows

    update_rows = optimizers.update_rows

    def once(rule, rates, table, read, g, slots, occurrences):
        new = update_rows(rule, rates, table, read, g, slots, occurrences)[1]
        return set_rows(table, occurrences, read + ops.cast(read_rows(new.vel, occurrences), read.dtype)), new

    return [(optimizers, "update_rows", once)]
