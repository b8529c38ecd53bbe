"""Syntax-tree mutants of the engines' mathematics: how much of it can be changed before the harness notices?

A mutant is one engine with one small change in one of its modules. It is put in force in a process of its own, by the
import system, so that no file of the engine is ever written; there the recordings are replayed (:mod:`parity.golden`)
until a comparison is past its bound, and, should none be, the engine is compared with the other one in some
configurations of :mod:`parity.matrix` and in the settings of the self-test. Who survives all that is either equivalent
(``equivalent.json`` says why) or a gap of the harness.

Why no mutation tool: mutmut and Cosmic Ray, the two that are kept up, judge a mutant by a test command and its exit
status, write it into a copy of the source or into the source itself, and know neither axes, nor dropped terms, swapped
arguments or removed updates. What is needed is which comparison was the first past its bound, and a process that has
all libraries imported already; the syntax tree itself, in :mod:`ast`, is the smaller part.
"""
