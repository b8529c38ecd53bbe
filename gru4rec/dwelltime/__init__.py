"""Dwell time (Bogina and Kuflik 2017): statistics, augmented training files, and whether training on them helps."""
